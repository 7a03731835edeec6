"""Material cards and stacks: YAML in, validated numbers with unit, spread, kind and source out."""
