"""Failing servers and full disks: a sweep continues or says why not, and no run is lost or logged twice."""

import contextlib
import http.client
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Train
from servers import mlflow_server, own_port

import nnlab
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study.sync import sync
from nnlab.tracking.connection import import_mlflow

pytestmark = pytest.mark.xdist_group("outages")
ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
}


HOP_BY_HOP = ("host", "connection", "content-length", "transfer-encoding")
"""Headers of one connection; a proxy must not forward them."""


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    body = b""
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body


class Proxy:
    """Forwards requests to a server, unless `fault` names a fault for the request of that number, counted from 0."""

    def __init__(self, upstream: str, port: int) -> None:
        self.upstream, self.requests = urlsplit(upstream).netloc, 0
        self.fault: Callable[[int], str] = lambda _: ""
        self.over = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  the names are http.server's

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.uri = f"http://127.0.0.1:{port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True  # otherwise a client might reuse it for a proxy of another test
        body = _body(request)
        fault, self.requests = self.fault(self.requests), self.requests + 1
        if fault == "hang":
            self.over.wait(30)
            return
        if fault == "error":
            request.send_error(500)
            return
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=30)) as upstream:
            upstream.request(request.command, request.path, body, headers)
            with upstream.getresponse() as response:
                content = response.read()
        if fault == "cut":  # the server has done it, but its answer is lost
            request.connection.close()
            return
        request.send_response(response.status)
        request.send_header("Connection", "close")
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    database = shutil.copy(empty_database, folder / "mlflow.db")
    with mlflow_server(f"sqlite:///{database}", folder / "artifacts") as uri:
        yield uri


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)
    with Proxy(server, own_port(150)).running() as proxy:
        yield proxy


def repair(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the faults and the short timeout: a busy machine may take longer to answer."""
    proxy.fault = lambda _: ""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def configs_in(results: Path, uri: str, experiment: str) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            seed=seed,
            training=nnlab.TrainingConfig(iterations=20),
            diagnostics=nnlab.DiagnosticsConfig(checkpoints=3),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(uri=uri, experiment=experiment, report=False),
        )
        for seed in range(3)
    ]


def assert_complete(server: str, experiment: str, results: Path) -> None:
    """The server has every run once, as after a sweep without faults, and no entry is left running."""
    client = import_mlflow().MlflowClient(server)
    entries = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    finished = [entry for entry in entries if entry.info.status == "FINISHED"]
    runs = {run.fingerprint: run for run in RunFolders(Results(results), experiment)}
    assert sorted(entry.data.tags["fingerprint"] for entry in finished) == sorted(runs)
    assert {entry.info.status for entry in entries} <= {"FINISHED", "KILLED"}
    for entry in finished:
        run = runs[entry.data.tags["fingerprint"]]
        assert entry.data.params["seed"] == str(run.config.seed)
        assert entry.data.metrics["cost/train"] == run.metrics["cost/train"]
        names = {file.path for file in client.list_artifacts(entry.info.run_id)}
        assert names >= {"config.yaml", "history.parquet", "parameters.npz", "run.json"}
    sweeps = client.search_runs(
        [client.get_experiment_by_name("sweeps").experiment_id], f"tags.`mlflow.runName` LIKE '{experiment} 20%'"
    )
    assert [entry.info.status for entry in sweeps] == ["FINISHED"]


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        *(("cut", first) for first in range(0, 24, 3)),
        *(("error", first) for first in (0, 9, 15)),
        ("hang", 0),
        ("hang", 13),
    ],
)
def test_after_a_server_fails_at_any_request_a_sync_completes_it(
    fault: str, first: int, proxy: Proxy, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = f"{fault} {first}"
    proxy.fault = lambda number: fault if number >= first else ""
    with pytest.warns(UserWarning, match="MLflow did not answer"):
        runs = nnlab.sweep(configs_in(tmp_path, proxy.uri, experiment), n_jobs=1, tracking=True)
    assert len(runs) == 3
    repair(proxy, monkeypatch)
    list(sync(experiment, str(tmp_path), proxy.uri))
    assert_complete(server, experiment, tmp_path)
    assert not any(sync(experiment, str(tmp_path), proxy.uri))
    assert_complete(server, experiment, tmp_path)


@pytest.mark.filterwarnings("ignore:MLflow did not answer:UserWarning")
@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_fails_at_random(
    seed: int, proxy: Proxy, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are lost at random, also during `sync`, which is repeated.

    MLflow's client repeats a request whose answer was cut off, so the server creates some entries twice.
    """
    chance, experiment = random.Random(seed), f"at random {seed}"
    proxy.fault = lambda _: chance.choice(["", "", "", "", "", "", "error", "cut"])
    nnlab.sweep(configs_in(tmp_path, proxy.uri, experiment), n_jobs=1, tracking=True)
    for _ in range(6):
        with contextlib.suppress(Exception):
            list(sync(experiment, str(tmp_path), proxy.uri))
    repair(proxy, monkeypatch)
    list(sync(experiment, str(tmp_path), proxy.uri))
    assert_complete(server, experiment, tmp_path)


def test_two_syncs_at_once_log_nothing_twice(server: str, tmp_path: Path) -> None:
    nnlab.sweep(configs_in(tmp_path, server, "two syncs"), n_jobs=1)
    words = ["-m", "nnlab", "sync", "two syncs", "--results-dir", str(tmp_path), "--uri", server]
    for _ in range(2):
        both = [subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
        for process in both:
            _, error = process.communicate(timeout=300)
            assert process.returncode == 0, error
        assert_complete(server, "two syncs", tmp_path)


def test_a_server_is_killed_and_restarted_during_a_sweep(tmp_path: Path, empty_database: Path) -> None:
    database = shutil.copy(empty_database, tmp_path / "mlflow.db")
    backend, results = f"sqlite:///{database}", tmp_path / "results"
    with mlflow_server(backend, tmp_path / "artifacts") as uri:
        words = ["seed=range(16)", "training.iterations=3000", f"results_dir={results}", f"tracking.uri={uri}"]
        command = [sys.executable, "-m", "nnlab", "sweep", *words]
        sweep = subprocess.Popen(command, cwd=ROOT, env=os.environ | QUICK, stdout=subprocess.PIPE, text=True)
        while not list(results.glob("runs/playground/[!.]*/run.json")):
            assert sweep.poll() is None
            time.sleep(0.02)
    # The server was killed, whatever it was doing.
    with mlflow_server(backend, tmp_path / "artifacts") as again:
        output, _ = sweep.communicate(timeout=300)
        assert sweep.returncode == 0, output
        list(sync("playground", str(results), again))
        list(sync("playground", str(results), again))
        assert_complete(again, "playground", results)
    assert len(RunFolders(Results(results), "playground").fingerprints()) == 16


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "16m") -> Iterator[Path]:
    """Mount a small file system in memory."""
    folder.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small disk is not permitted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Write a file that leaves `leave` bytes free."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    path = folder / "filler"
    path.write_bytes(b"\0" * (free - leave))
    return path


SMALL = ("-m", "training.iterations=20", "launcher.n_jobs=1", "tracking.enabled=true", "tracking.report=false")


def logged(database: Path) -> list[str]:
    client = import_mlflow().MlflowClient(f"sqlite:///{database}")
    entries = client.search_runs([client.get_experiment_by_name("playground").experiment_id])
    return [entry.data.tags["fingerprint"] for entry in entries if entry.info.status == "FINISHED"]


def test_a_full_disk_while_runs_are_written(train: Train, tmp_path: Path, empty_database: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        shutil.copy(empty_database, disk / "mlflow.db")
        assert train(*SMALL, "seed=0,1", f"results_dir={disk}").status == 0
        filler = fill(disk, leave=60_000)
        full = train(*SMALL, "seed=range(12)", f"results_dir={disk}")
        assert full.status == 74
        assert "No space left on device" in full.output
        assert "type the same command again" in full.output
        assert "Traceback" not in full.output + full.error
        filler.unlink()
        folders = RunFolders(Results(disk), "playground")
        assert len(folders.fingerprints()) >= 2
        assert not [problem for folder, problem in folders.verify() if not folder.name.startswith(".")]
        again = train(*SMALL, "seed=range(12)", f"results_dir={disk}")
        assert again.status == 0, again.output + again.error
        assert "12 of 12 runs" in again.output
        assert sorted(logged(disk / "mlflow.db")) == sorted(folders.fingerprints())
        assert len(folders.fingerprints()) == 12


def test_a_full_disk_while_runs_are_logged(train: Train, tmp_path: Path, empty_database: Path) -> None:
    """The run folders are on one disk, MLflow's database on another, which is full."""
    with small_disk(tmp_path / "disk") as disk:
        database, results = disk / "mlflow.db", tmp_path / "results"
        shutil.copy(empty_database, database)
        words = (f"results_dir={results}", f"tracking.uri=sqlite:///{database}")
        assert train(*SMALL, "seed=0,1", *words).status == 0
        filler = fill(disk, leave=100_000)
        full = train(*SMALL, "seed=range(12)", *words)
        assert full.status == 0
        assert "MLflow did not answer" in full.output
        assert "full" in full.output
        assert "nnlab sync" in full.output
        assert "Traceback" not in full.output + full.error
        filler.unlink()
        assert train(*SMALL, "seed=range(12)", *words).status == 0
        assert len(logged(database)) == len(set(logged(database))) == 12


def test_a_read_only_results_folder_is_rejected(train: Train, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        rejected = train(*SMALL, "seed=0,1", f"results_dir={disk}")
    assert rejected.status == 1
    assert "results_dir must be a folder that can be written to" in rejected.error
    assert "Traceback" not in rejected.error
