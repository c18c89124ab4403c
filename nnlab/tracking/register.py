"""The network of a run as a model in MLflow's registry, for `mlflow models predict` or `mlflow.pyfunc.load_model`."""

import contextlib
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlab.config import ConfigError
from nnlab.record.run import Run
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.log_runs import RunTracker, run_note

__all__ = ["Registration", "register", "save_model"]

MODEL_TAG = "registered_model"
"""The tag of a run's entry that names the model and the version registered last."""
NEEDED = ("filelock", "numpy", "pandas", "psutil", "pyarrow", "pyyaml", "scipy")
"""The packages that a served model imports, besides mlflow."""

_PACKAGE = Path(__file__).resolve().parents[1]
_DESCRIPTION = (
    "Networks of the experiment. They take rows as they come from the data, with named columns, and answer with its "
    "labels or units."
)


class Registration(NamedTuple):
    """A version of a registered model.

    Attributes
    ----------
    uri : `models:/NAME/VERSION`
    is_new : False if the run had been registered under this name before
    """

    uri: str
    is_new: bool


def register(run: Run, folder: Path, tracker: RunTracker, name: str | None = None) -> Registration:
    """Save the network of a logged run as a model and register it, unless it is registered under this name already.

    `folder` is the run folder; `name` is the model's name, None for the experiment's. Raises ConfigError if the name
    is not legal, or if MLflow does not have the run.
    """
    name = tracker.experiment if name is None else name
    if not name.strip() or "/" in name or ":" in name:
        raise ConfigError(f"the name of a model must not be empty and must not contain / or :, got {name!r}")
    with tracker.ledger.locked():  # another process may be registering the same run
        entry = _entry(run, tracker)
        versions = tracker.client.search_model_versions(f"run_id = '{entry.info.run_id}'")
        existing = [one for one in versions if one.name == name]
        if existing:
            registered = max(existing, key=lambda one: int(one.version))
        else:
            if not versions:  # else the model is there, under another name
                _log_model(run, folder, tracker, entry)
            registered = _create_version(run, tracker, entry, name)
        # Also if it exists: the process that registered it may have been killed before it set the tag.
        tracker.client.set_tag(entry.info.run_id, MODEL_TAG, f"{name} version {registered.version}")
    return Registration(f"models:/{name}/{registered.version}", not existing)


def _entry(run: Run, tracker: RunTracker) -> Any:
    """Return the entry of a run. Raises ConfigError if there is none, or it was deleted in MLflow."""
    run_id = tracker.ledger.run_id(run.fingerprint)
    if run_id is None:
        raise ConfigError(
            f"a run must be in MLflow before it is registered, got {run.fingerprint}: another process may be logging "
            "it; type the command again"
        )
    entry = tracker.client.get_run(run_id)
    if entry.info.lifecycle_stage != "active":
        raise ConfigError(
            f"a run must be in MLflow before it is registered, got {run.fingerprint}, which was deleted there: "
            f"mlflow runs restore --run-id {run_id}"
        )
    return entry


def _log_model(run: Run, folder: Path, tracker: RunTracker, entry: Any) -> None:
    with tempfile.TemporaryDirectory() as parent:
        save_model(run, folder, Path(parent) / "model")
        tracker.client.log_artifacts(entry.info.run_id, parent)


def _create_version(run: Run, tracker: RunTracker, entry: Any, name: str) -> Any:
    with contextlib.suppress(import_mlflow().exceptions.MlflowException):  # a model of that name exists
        tracker.client.create_registered_model(name, description=_DESCRIPTION)
    return tracker.client.create_model_version(
        name,
        f"{entry.info.artifact_uri}/model",
        entry.info.run_id,
        description=f"{entry.info.run_name}\n\n{run_note(run)}",
    )


def _signature(run: Run) -> Any:
    """Return the columns of the data set and the type of its labels.

    MLflow refuses integers and booleans for a column of doubles, so columns of numbers have the type `any`; nnlab
    checks their values.
    """
    types = import_mlflow().types
    inputs = [
        types.schema.ColSpec(types.DataType.string if column.categories else types.schema.AnyType(), column.name)
        for column in run.preparation.columns
    ]
    labels = np.array(run.preparation.labels or (0.0,))
    kinds = {"i": types.DataType.long, "b": types.DataType.boolean, "f": types.DataType.double}
    output = types.schema.ColSpec(kinds.get(labels.dtype.kind, types.DataType.string))
    return import_mlflow().models.ModelSignature(types.Schema(inputs), types.Schema([output]))


def save_model(run: Run, folder: Path, target: Path) -> None:
    """Write the network of a run, whose run folder is `folder`, as a pyfunc model into `target`.

    The model contains nnlab's code and the run's files. It takes a data frame of rows as they come from the data set,
    and returns the m labels, or real numbers in the units of the target. Raises ConfigError for a run that an earlier
    version recorded without the names of its columns.
    """
    if not run.preparation.columns:
        raise ConfigError(
            f"a run must have the names of its columns to be registered, got {run.fingerprint} of an earlier version: "
            "train it again with launcher.force=true"
        )
    mlflow = import_mlflow()
    signature = _signature(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow asks for type hints and an example; there is a signature
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"run": str(folder)},
            signature=signature,
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
            code_paths=[str(_PACKAGE)],
        )
