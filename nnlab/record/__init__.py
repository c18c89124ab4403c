"""The record on disk: run folders, and one folder for each sweep. `nnlab.tracking` mirrors it to MLflow."""
