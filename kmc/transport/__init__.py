"""Electronic current: metal clusters, tunnelling, the network of a closed filament, leakage and the circuit."""
