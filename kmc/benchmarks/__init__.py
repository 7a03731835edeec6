"""Everything that `kmc bench` runs."""
