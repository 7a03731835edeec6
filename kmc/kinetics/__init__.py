"""Kinetic Monte Carlo: the table of processes, event rates, the events themselves and the loop over them."""
