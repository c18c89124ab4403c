"""Mirrors runs and sweeps in MLflow; the only room that imports it."""
