"""Tridiagonal systems along the first axis, many at once (Thomas algorithm)."""

from kmc.core.jit_cache import njit


@njit
def solve_tridiagonal(y, factor, pivot) -> None:
    """Solve the tridiagonal systems along z, of all modes, in place, from their pivots and factors."""
    deep = y.shape[0]
    flat, lower, middle = y.reshape(deep, -1), factor.reshape(deep, -1), pivot.reshape(deep, -1)
    for k in range(1, deep):
        for mode in range(flat.shape[1]):
            flat[k, mode] -= lower[k - 1, mode] * flat[k - 1, mode]
    flat /= middle
    for k in range(deep - 2, -1, -1):
        for mode in range(flat.shape[1]):
            flat[k, mode] -= lower[k, mode] * flat[k + 1, mode]
