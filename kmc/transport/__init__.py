"""Electronic current: clusters, tunnelling, the network of a closed filament, leakage and the circuit."""
