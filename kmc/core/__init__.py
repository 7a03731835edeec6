"""Foundations that every package uses: errors, units, random streams, files, progress, the cache of compiled kernels."""
