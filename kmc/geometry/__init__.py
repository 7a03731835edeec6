"""The lattice of a window: crystals, ligand gaps, grains, rough surfaces, and where silver fits."""
