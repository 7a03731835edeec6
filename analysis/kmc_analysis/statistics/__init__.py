"""Comparison of variants: effects with bootstrap intervals, and tables of them."""
