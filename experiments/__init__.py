"""The edges of nnlab: scripts that people and make call, and one folder per question."""
