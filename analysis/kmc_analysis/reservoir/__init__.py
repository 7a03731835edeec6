"""Volatile devices as a reservoir for spike trains, compliance-programmed devices as its readout."""
