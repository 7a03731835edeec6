"""Compact models as equations: written once, compiled, integrated."""
