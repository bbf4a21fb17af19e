"""Faults: what is broken at each step of a signal, and what must be true all the same."""
