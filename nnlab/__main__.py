"""`python -m nnlab`: the command `nnlab`."""

from nnlab.cli.main import main

main()
