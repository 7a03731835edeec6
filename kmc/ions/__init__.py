"""Mobile ions: densities in quasi-equilibrium and pair energies of explicit ones."""
