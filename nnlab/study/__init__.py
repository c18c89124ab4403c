"""How many runs are made: which are done, which belong together, who trains them, and the one writer."""
