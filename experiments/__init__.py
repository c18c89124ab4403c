"""Questions about networks, one folder each. `python -m experiments` runs them and writes their findings."""
