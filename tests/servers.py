"""Servers on loopback for tests: PostgreSQL, MLflow, a Dask cluster. Each is a process that a test may kill."""

import os
import pwd
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab.cli.ui import free_port

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def own_port(offset: int) -> int:
    """Return a free port from a range of this test process: two that start at once must not choose the same."""
    suite = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0")[:4], 16) % 15
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return free_port(15000 + 1000 * suite + 200 * worker + offset)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own; at the end, kill the group."""
    with log.open("w") as file:
        process = subprocess.Popen(command, env=os.environ | QUIET, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Wait until a process is ready. Raises AssertionError with its log if it exits, TimeoutError if it is late."""
    for _ in range(int(seconds * 20)):
        assert process.poll() is None, log.read_text()
        if ready():
            return
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def answers(url: str) -> bool:
    """Return True if a URL can be opened."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def mlflow_server(backend: str, artifacts: Path) -> Iterator[str]:
    """Start MLflow's server over a database, given by its URI, and yield its address."""
    port = own_port(0)
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", backend, "--artifacts-destination", artifacts.as_uri()),
    ]
    log = artifacts / "server.log"
    with running(command, log) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), process, log)
        yield f"http://127.0.0.1:{port}"


def postgresql_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, which Debian does not put on PATH."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def postgresql(programs: Path, folder: Path) -> Iterator[str]:
    """Start PostgreSQL in a folder and yield the URI of an empty database. It refuses to run as root."""
    port, data = own_port(50), folder / "data"
    as_user: list[str] = []
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for parent in folder.parents:  # pytest makes folders for one user only
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    folder.mkdir(parents=True, exist_ok=True)

    def call(*words: str) -> None:
        subprocess.run([*as_user, str(programs / words[0]), *words[1:]], check=True, capture_output=True, cwd=folder)

    call("initdb", "--pgdata", str(data), "--username", "nnlab", "--auth", "trust", "--no-sync")
    settings = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    call("pg_ctl", "start", "--wait", "--pgdata", str(data), "--log", str(folder / "log"), "--options", settings)
    try:
        yield f"postgresql+psycopg2://nnlab@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "stop", "--mode", "immediate", "--pgdata", str(data))


@contextmanager
def dask_scheduler(folder: Path) -> Iterator[str]:
    """Start a Dask scheduler and yield its address."""
    port, log = own_port(100), folder / "scheduler.log"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard"]
    with running([*command, "--port", str(port), "--no-show"], log) as process:
        wait_until(lambda: "Scheduler at" in log.read_text(), process, log)
        yield f"tcp://127.0.0.1:{port}"


@contextmanager
def dask_worker(address: str, folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start one worker of a scheduler, without the nanny that would restart it."""
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    options = ["--no-dashboard", "--name", name, "--local-directory", str(folder)]
    with running([*command, *options], log) as process:
        wait_until(lambda: "Registered to" in log.read_text(), process, log)
        yield process
