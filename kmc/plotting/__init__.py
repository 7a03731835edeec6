"""Pictures of stacks and traces, made on demand: matplotlib is loaded when one is drawn."""
