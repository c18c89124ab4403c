"""The commands of runs and sweeps, in today's form.

Earlier versions were started as `python experiments/train.py WORDS`, and the summaries of earlier sweeps say so.
"""

import shlex
from collections.abc import Sequence

__all__ = ["current_command", "nnlab_command"]

_OLD_SCRIPT = "experiments/train.py"


def nnlab_command(hydra_words: Sequence[str]) -> str:
    """Return the nnlab command that gives Hydra these words: `nnlab sweep initialization seed=1,2`."""
    words = [word for word in hydra_words if word not in ("-m", "--multirun")]
    experiments = [word for word in words if word.startswith("experiment=")]
    if len(words) == len(hydra_words) and not experiments:
        return shlex.join(["nnlab", "run", *words])
    presets = [preset for word in experiments if (preset := word.partition("=")[2])]
    return shlex.join(["nnlab", "sweep", *presets, *(word for word in words if word not in experiments)])


def current_command(command: str) -> str:
    """Return a recorded command in today's form; any other text is returned unchanged."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    if len(words) < 2 or words[1] != _OLD_SCRIPT:
        return command
    return nnlab_command(words[2:])
