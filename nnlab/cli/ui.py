"""`nnlab ui`: compare recorded runs in the MLflow UI, by default on this machine only."""

import contextlib
import errno
import os
import socket
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from nnlab.cli.options import add_results_dir, parser, results_at
from nnlab.tracking.connection import SQLITE, relocate_artifacts
from nnlab.tracking.ledger import logged_experiments
from nnlab.tracking.ui_views import link

__all__ = ["command", "free_port", "main"]

HOST = "127.0.0.1"
"""MLflow asks for no password: anyone who can reach the port can read, change and delete every run."""


def main(words: Sequence[str]) -> None:
    """Replace this process with MLflow's server."""
    options = parser("ui", "Compare recorded runs in the MLflow UI, by default on this machine only.")
    add_results_dir(options)
    options.add_argument("--port", type=int, default=5000, help="first port to try (5000)")
    options.add_argument("--host", default=HOST, help=f"address to listen on ({HOST}: this machine only)")
    arguments = options.parse_args(words)
    if not 1 <= arguments.port <= 65535:
        sys.exit(f"--port must be from 1 to 65535, got {arguments.port}")
    results = results_at(arguments.results_dir)
    database = results.database
    if not database.is_file():
        sys.exit(f"There are no runs in {database}: record some with `nnlab sweep initialization` or `nnlab run`.")
    with contextlib.suppress(sqlite3.Error):  # MLflow itself reports a damaged database
        relocate_artifacts(database)
    port = free_port(arguments.port, arguments.host)
    address = f"http://{arguments.host}:{port}"
    print(f"The runs in {database} are at {address} until Ctrl-C:", flush=True)
    for name, experiment_id in logged_experiments(results, f"{SQLITE}{database}").items():
        print(f"  {name:20} {address}{link(experiment_id)}", flush=True)
    if arguments.host != HOST:
        print("Anyone who can reach this address can read, change and delete every run: MLflow asks for no password.")
    # One worker answers 40 ms sooner than several, and the seven job processes would be idle.
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.environ.setdefault("PYTHONWARNINGS", "ignore:starlette.middleware.wsgi is deprecated")  # MLflow's own, twice
    os.execv(sys.executable, command(database, port, arguments.host))


def command(database: Path, port: int, host: str = HOST) -> list[str]:
    """Return the command line of MLflow's server over one SQLite file, with the page of `nnlab.tracking.ui_page`."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--app-name", "nnlab"),
        *("--backend-store-uri", f"{SQLITE}{database}"),
        *("--default-artifact-root", (database.parent / "artifacts").as_uri()),
    ]


def free_port(first: int, host: str = HOST) -> int:
    """Return the first free port from `first` on. Exits if there is none, or the host is not this machine's."""
    for port in range(first, min(first + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    sys.exit(f"--host must be an address of this machine, got {host!r}: {error.strerror}")
            else:
                return port
    sys.exit(f"No free port from {first} to {first + 99}: name another with --port.")
