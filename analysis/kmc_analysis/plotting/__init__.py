"""Figures of studies and of traces beside measurements."""
