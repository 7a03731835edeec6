"""Commands that the analysis adds to kmc."""
