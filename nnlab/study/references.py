"""The scores of reference models on a data set: fitted once, and kept for all networks that learn it."""

import contextlib
import hashlib
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from nnlab.config import MEASURES
from nnlab.datasets import Dataset
from nnlab.diagnostics.references import References, fit_references
from nnlab.network.costs import COSTS
from nnlab.record.files import locked, write_atomically
from nnlab.record.run_json import finite_or_text
from nnlab.results import Results
from nnlab.study.strong_models import fit_ceiling

__all__ = ["fit_in_background", "references_of", "scikit_learn"]

FIT = """
import pickle, sys
from nnlab.study.references import references_of
data_sets, results = pickle.load(sys.stdin.buffer)
for data in data_sets:
    references_of(data, results)
"""
"""What the process of `fit_in_background` executes."""


_fitted: dict[str, References] = {}


def references_of(data: Dataset, results: Results) -> References:
    """Return the scores of the reference models on a data set.

    They are kept in this process and, by a digest of the data, in the results folder: importing scikit-learn takes
    longer than fitting its models. Of several processes that need them, one fits them and the others wait. In a
    folder that does not exist or cannot be written to, nothing is kept.
    """
    digest = _digest(data)
    if digest not in _fitted:
        path = results.references(digest)
        with _exclusive(results, digest):
            try:
                _fitted[digest] = _kept(path)
            except (OSError, ValueError, TypeError, KeyError):  # none, damaged, or of an earlier version
                _fitted[digest] = _fit(data)
                if results.folder.is_dir():
                    with contextlib.suppress(OSError):
                        write_atomically(path, json.dumps(finite_or_text(_fitted[digest]._asdict())))
    return _fitted[digest]


@contextlib.contextmanager
def fit_in_background(data_sets: Iterable[Dataset], results: Results) -> Iterator[None]:
    """Fit the models that are not fitted yet in a process of its own, which ends with the context.

    `references_of` then reads what that process has written, waits for it, or fits the models itself if it was faster.
    A thread would not help: importing scikit-learn holds the interpreter. Nothing is started if this process has
    imported scikit-learn already; then fitting takes less time than starting a process.
    """
    missing = [data for data in data_sets if not _is_fitted(data, results)]
    with contextlib.ExitStack() as context:
        if missing and "sklearn.svm" not in sys.modules:
            with contextlib.suppress(OSError):
                context.enter_context(_fitting(missing, results))
        yield


@contextlib.contextmanager
def _fitting(data_sets: Sequence[Dataset], results: Results) -> Iterator[None]:
    with tempfile.TemporaryFile() as file:  # a pipe would block until the process has imported nnlab
        pickle.dump((data_sets, results), file)
        file.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", FIT],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a terminal sends Ctrl-C to the processes of its session only
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _is_fitted(data: Dataset, results: Results) -> bool:
    digest = _digest(data)
    return digest in _fitted or results.references(digest).is_file()


def _kept(path: Path) -> References:
    """Return the scores in a file. Raises KeyError if it lacks one, as files of earlier versions do."""
    scores = json.loads(path.read_text(encoding="utf-8"))
    return References(*(float(scores[name]) for name in References._fields))


def _fit(data: Dataset) -> References:
    with threadpool_limits(limits=1):  # the number of threads decides the last bits
        ceiling = fit_ceiling(data.X, data.Y, regression=data.task == "regression")
        affine = fit_references(data.X, data.Y, data.X_test, data.Y_test, COSTS[data.task])
    return affine._replace(
        score_nothing=ceiling.nothing,
        ceiling=ceiling.ceiling,
        ceiling_error=ceiling.error,
        ceiling_affine=ceiling.affine,
    )


@contextlib.contextmanager
def _exclusive(results: Results, digest: str) -> Iterator[None]:
    """Exclude other processes that fit models to the same data; do nothing if the folder cannot be written to."""
    path = results.references(f".{digest}").with_suffix(".lock")
    with contextlib.ExitStack() as lock:
        if results.folder.is_dir():
            with contextlib.suppress(OSError):
                path.parent.mkdir(exist_ok=True)
                lock.enter_context(locked(path))
        yield


def _digest(data: Dataset) -> str:
    """Return a digest of the data and of the versions that decide the scores."""
    digest = hashlib.sha256(f"{data.task} {MEASURES} {scikit_learn()}".encode())
    for array in (data.X, data.Y, data.X_test, data.Y_test):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


@cache
def scikit_learn() -> str:
    """Return the version of scikit-learn, without importing it."""
    return version("scikit-learn")
