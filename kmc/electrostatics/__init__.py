"""The potential that ions feel: on the mesh, on the lattice beside metal, and after local changes."""
