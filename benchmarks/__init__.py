"""Benchmarks: the core and whole sweeps beside their peers (`make bench`)."""
