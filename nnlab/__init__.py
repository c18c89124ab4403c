"""nnlab: why does a neural network learn, or not?

    config = nnlab.RunConfig(model=nnlab.ModelConfig(activation="relu", hidden_size=20))
    run = nnlab.run(config)                     # data -> initialize -> train -> probe -> record
    run.history                                 # tidy frame: iteration, layer, quantity, value
    run.metrics["accuracy/test"]                # final values
    run.verdict.text                            # why it learned or did not
    run.verdict.outcome                         # learned, partly, not learned, diverged, nothing to learn
    nnlab.why(config).text                      # what would have made it learn, found by training it with changes
    nnlab.judge("initialization")               # verdicts of recorded runs by the rules of today, without training
    runs = nnlab.sweep([config, ...], n_jobs=2) # networks of one shape are trained together, as stacks
    data = nnlab.load_dataset(config.data)      # X, Y, X_test, Y_test: (n, m), examples as columns
    frame = nnlab.load_runs("initialization")   # one row per recorded run
    curves = nnlab.load_curves(frame)           # what the probes measured
    nnlab.course.nn_model(X, Y, n_h=4)          # the course's functions over the same core

Names are loaded on first use, so that `import nnlab` does not import pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlab import course
    from nnlab.config import (
        ConfigError,
        DataConfig,
        DiagnosticsConfig,
        InitConfig,
        LauncherConfig,
        ModelConfig,
        RunConfig,
        TrackingConfig,
        TrainingConfig,
    )
    from nnlab.datasets import Dataset, load_dataset
    from nnlab.findings.load import load_curves, load_runs
    from nnlab.record.run import Run
    from nnlab.study.api import StudyError, run, sweep
    from nnlab.study.explanation import Explanation
    from nnlab.study.judge import judge
    from nnlab.study.why import why

__all__ = [
    "ConfigError",
    "DataConfig",
    "Dataset",
    "DiagnosticsConfig",
    "Explanation",
    "InitConfig",
    "LauncherConfig",
    "ModelConfig",
    "Run",
    "RunConfig",
    "StudyError",
    "TrackingConfig",
    "TrainingConfig",
    "course",
    "judge",
    "load_curves",
    "load_dataset",
    "load_runs",
    "run",
    "sweep",
    "why",
]

_HOMES = {
    "nnlab.datasets": ("Dataset", "load_dataset"),
    "nnlab.findings.load": ("load_curves", "load_runs"),
    "nnlab.record.run": ("Run",),
    "nnlab.study.api": ("StudyError", "run", "sweep"),
    "nnlab.study.explanation": ("Explanation",),
    "nnlab.study.judge": ("judge",),
    "nnlab.study.why": ("why",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nnlab' has no attribute {name!r}")
    if name == "course":
        return import_module("nnlab.course")
    return getattr(import_module(_HOME.get(name, "nnlab.config")), name)


def __dir__() -> list[str]:
    return __all__
