"""Fits of compact models to traces, with intervals and reports."""
