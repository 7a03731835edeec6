"""Datasets, checkpoints and exports: what is written, how, and what it says of its making."""
