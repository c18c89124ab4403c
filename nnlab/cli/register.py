"""`nnlab register`: add the network of a run to MLflow's model registry."""

import contextlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nnlab.cli.find_run import SHORTEST, find_run
from nnlab.cli.options import add_results_dir, parser, results_at
from nnlab.cli.process import catch_signals
from nnlab.cli.quoting import program
from nnlab.config import ConfigError, RunConfig

if TYPE_CHECKING:
    from nnlab.record.run import Run
    from nnlab.tracking.register import Registration

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Register a run as a model and print how to serve it. Exits with 1 if the words do not mean one run."""
    options = parser(
        "register",
        "Add the network of a run to MLflow's model registry, and print how to serve it. Runs of its experiment "
        "that MLflow lacks are logged first.",
    )
    options.add_argument("fingerprint", help=f"its first digits, at least {SHORTEST}, or EXPERIMENT/DIGITS")
    add_results_dir(options)
    options.add_argument("--uri", help="the tracking URI (the database in the results folder)")
    options.add_argument("--name", help="the name of the model (the experiment's)")
    arguments = options.parse_args(words)
    if arguments.uri is not None and not arguments.uri.strip():
        sys.exit(f"--uri must be a tracking URI, got {arguments.uri!r}")
    results = results_at(arguments.results_dir)
    from nnlab.record.run_folders import RunFolders
    from nnlab.tracking.connection import tracking_uri

    catch_signals()
    try:
        folder = find_run(results, arguments.fingerprint)
        experiment = folder.parent.name
        run = RunFolders(results, experiment).read(folder.name)
        tracking = replace(run.config.tracking, uri=arguments.uri, experiment=experiment)
        config = replace(run.config, results_dir=arguments.results_dir, tracking=tracking)
        registration = _register(run, folder, config, arguments.name)
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    done = "Registered" if registration.is_new else "Registered already:"
    print(f"{done} {experiment}/{folder.name} as {registration.uri}. To serve it:")
    print(_serve_command(run, registration.uri, tracking_uri(config)))


def _register(run: "Run", folder: Path, config: RunConfig, name: str | None) -> "Registration":
    """Register a run, after logging its experiment if MLflow lacks the run."""
    from nnlab.record.run_json import DamagedRunError
    from nnlab.study.sync import sync
    from nnlab.tracking.connection import check_uri, plain_errors, tracking_uri
    from nnlab.tracking.log_runs import RunTracker
    from nnlab.tracking.register import register

    check_uri(config)
    with plain_errors(tracking_uri(config)):
        tracker = RunTracker(config)
        if run.fingerprint not in tracker.logged():
            with contextlib.suppress(DamagedRunError):  # of other runs, which `nnlab sync` names; this one was read
                list(sync(config.tracking.experiment, config.results_dir, config.tracking.uri))
        return register(run, folder, tracker, name)


def _serve_command(run: "Run", model: str, uri: str) -> str:
    """Return the commands that predict one example with a registered model."""
    mlflow = "mlflow".join(program().rsplit("nnlab", 1))
    row = {column.name: column.categories[0] if column.categories else 0.0 for column in run.preparation.columns}
    example = json.dumps({"dataframe_records": [row]}, ensure_ascii=False)
    return (
        f"  export MLFLOW_TRACKING_URI={shlex.quote(uri)}\n"
        f"  echo {shlex.quote(example)} | "
        f"{mlflow} models predict -m {shlex.quote(model)} --env-manager local -t json"
    )
