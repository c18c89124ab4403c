"""What is kept of a run: on disk first (`store`), then mirrored to MLflow (`tracking`)."""
