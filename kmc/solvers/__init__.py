"""Linear solvers: multigrid for div(c grad u), tridiagonal systems."""
