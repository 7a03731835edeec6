"""Electronic current: metal clusters, tunnelling, closed filaments, leakage and the circuit."""
