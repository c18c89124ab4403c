"""Multiplies: which runs are done, which belong together, who trains them, and the one writer."""
