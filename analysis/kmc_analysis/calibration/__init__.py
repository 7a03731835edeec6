"""Fitting shared numbers of the cards to the targets that may be fitted to, and to no other."""
