"""Material cards and the stacks made of them: YAML in, validated numbers with unit, spread, kind and source out."""
