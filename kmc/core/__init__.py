"""Foundations of every package: errors, units, random streams, files, progress, compiled kernels."""
