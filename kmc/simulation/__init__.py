"""The loop of a run: windows on one circuit, when each field is renewed, observers, and `kmc.simulate`."""
