"""The command `nnlab`: finds the sub-command and calls it.

Nothing heavy is imported here: `nnlab --help` answers at once.
"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from nnlab.cli.commands import COMMANDS
from nnlab.cli.process import INTERRUPTED, prepare

__all__ = ["main"]

USAGE = """\
nnlab: why does a neural network learn, or not?

usage: nnlab COMMAND ...
{commands}

  nnlab run model.activation=relu model.hidden_size=20
  nnlab sweep initialization
  nnlab sweep model.activation=relu,tanh seed='range(5)'

nnlab COMMAND --help shows what a command takes; nnlab -sc install=bash completes words (also fish and zsh).
"""


def main(arguments: list[str] | None = None) -> None:
    """Run a command line; None means the process's own. Exits with 1 for wrong words and 130 after Ctrl-C."""
    if arguments is None:
        _prepare_process()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _dispatch(words)
    except KeyboardInterrupt:  # while configs are composed or tables made; a study reports its own interruption
        print("\nStopped. Recorded runs are kept; type the same command again for the rest.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _dispatch(words: list[str]) -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        sys.exit("the working folder no longer exists: change to another and type the same command again")
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in COMMANDS:
        import_module(f"nnlab.cli.{name}").main(rest)
    elif name in ("-sc", "--shell-completion"):
        import_module("nnlab.cli.completion").main(words)
    elif name in ("-h", "--help", "help"):
        listed = "\n".join(f"  {command:10}{text}" for command, text in COMMANDS.items())
        print(USAGE.format(commands=listed), end="")
    elif name == "--version":
        print(f"nnlab {import_module('importlib.metadata').version('nnlab')}")
    else:
        sys.exit(f"the command must be one of {', '.join(COMMANDS)}, got {name!r}; to train one network: nnlab run ...")


def _prepare_process() -> None:
    """Set up a process that belongs to one command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing has been written until the imports are done: exit without a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    prepare()
