"""Listens: the command `nnlab`. Each sub-command imports what it needs when it is called."""
