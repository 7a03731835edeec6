"""Multigrid-preconditioned conjugate gradients for div(c grad u) + source = sink u on a box mesh."""
