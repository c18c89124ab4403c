"""Multiplies: which runs are done, which belong together, where they are trained, and the one writer."""
