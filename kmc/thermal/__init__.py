"""Heat: local temperature of the lattice and of electrons, and the surface that a camera sees."""
