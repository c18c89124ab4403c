"""Open the recorded runs in the MLflow UI (`make ui`), on this machine only unless told."""

import argparse
import contextlib
import errno
import os
import socket
import sqlite3
import sys
from pathlib import Path

from nnlab.cli.options import add_results_dir, results_at
from nnlab.tracking.connection import SQLITE, relocate_artifacts
from nnlab.tracking.ledger import known_experiments
from nnlab.tracking.ui_views import link

__all__ = ["command", "free_port", "main"]

HOST = "127.0.0.1"
"""MLflow has no password of its own: whoever reaches the port can read, change and delete every run."""


def main(arguments: list[str] | None = None) -> None:
    """Replace this process by MLflow's server."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_results_dir(parser)
    parser.add_argument("--port", type=int, default=5000, help="first port to try (5000)")
    parser.add_argument("--host", default=HOST, help=f"address to listen on ({HOST}: this machine only)")
    options = parser.parse_args(arguments)
    if not 1 <= options.port <= 65535:
        sys.exit(f"--port must be from 1 to 65535, got {options.port}")
    results = results_at(options.results_dir)
    database = results.database
    if not database.is_file():
        sys.exit(f"There are no runs in {database}: make some with `make sweep` or `make run`.")
    with contextlib.suppress(sqlite3.Error):  # MLflow says itself what is wrong with its database
        relocate_artifacts(database)
    port = free_port(options.port, options.host)
    address = f"http://{options.host}:{port}"
    print(f"The runs in {database} are at {address} until Ctrl-C:", flush=True)
    for name, identifier in known_experiments(results, f"{SQLITE}{database}").items():
        print(f"  {name:20} {address}{link(identifier)}", flush=True)
    if options.host != HOST:
        print("Whoever reaches this address can read, change and delete every run: MLflow asks for no password.")
    # One worker answers 40 ms sooner than several, and nothing here needs the seven idle job processes.
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.environ.setdefault("PYTHONWARNINGS", "ignore:starlette.middleware.wsgi is deprecated")  # MLflow's own, twice
    os.execv(sys.executable, command(database, port, options.host))


def command(database: Path, port: int, host: str = HOST) -> list[str]:
    """Return the command line of MLflow's server over one SQLite file."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--app-name", "nnlab"),
        *("--backend-store-uri", f"sqlite:///{database}"),
        *("--default-artifact-root", (database.parent / "artifacts").as_uri()),
    ]


def free_port(first: int, host: str = HOST) -> int:
    """Return the first port from `first` on that can be listened on."""
    for port in range(first, min(first + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    sys.exit(f"--host must be an address of this machine, got {host!r}: {error.strerror}")
            else:
                return port
    sys.exit(f"No free port from {first} to {first + 99}: name another with --port.")
