"""Compact models of the devices: their equations, fits to traces, and what circuit simulators read of
them."""
