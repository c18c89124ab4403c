"""The store that MLflow keeps its record in: its address, whether it can be one, and a database of our own."""

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from nnlab.config import ConfigError, RunConfig
from nnlab.record.files import is_left_over, partial_path
from nnlab.results import Results

__all__ = [
    "SQLITE",
    "UnreachableError",
    "relocate_artifacts",
    "check_uri",
    "connect",
    "create_database",
    "import_mlflow",
    "tracking_uri",
    "plain_errors",
]

SQLITE = "sqlite:///"
ADDRESSES = (
    *(("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location")),
    *(("model_versions", "source"), ("model_versions", "storage_location")),
)
"""Where MLflow keeps addresses of artifacts: tables and columns."""

logger = logging.getLogger(__name__)


def import_mlflow() -> Any:
    """Import mlflow as nnlab wants it: without telemetry, deaf to a run id meant for somebody else."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 are two minutes of silence
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for each run
    os.environ.pop("MLFLOW_RUN_ID", None)
    import mlflow

    # They tell of every table they create and show a traceback of all they raise, in the middle of the progress bar.
    for name in ("mlflow.store.db.utils", "alembic", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


def tracking_uri(config: RunConfig) -> str:
    """Return the tracking URI: the config's, or an SQLite file in the results folder. SQLite paths are made absolute
    as the results folder is."""
    uri = config.tracking.uri
    if uri is None:
        return f"{SQLITE}{Results.at(config.results_dir).database}"
    return f"{SQLITE}{Results.at(uri.removeprefix(SQLITE)).folder}" if uri.startswith(SQLITE) else uri


def check_uri(config: RunConfig) -> None:
    """Raise ConfigError if the store cannot be what the config says, as far as that can be seen from outside.

    MLflow tries a database that does not open for minutes, and then shows a traceback.
    """
    uri, own = tracking_uri(config), config.tracking.uri is None
    key, given = ("results_dir", config.results_dir) if own else ("tracking.uri", config.tracking.uri)
    if uri.startswith("sqlite:") and not uri.startswith(SQLITE):
        raise ConfigError(f"{key} must name a file if it is SQLite, as in sqlite:///path/mlflow.db, got {given!r}")
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    confusing = [character for character in "%?#" if character in str(path)]
    if confusing:
        raise ConfigError(
            f"{key} must not contain {' '.join(confusing)} where runs are tracked in SQLite, since its URI gives them "
            f"another meaning (or tracking=off), got {given!r}"
        )
    try:
        legal = not path.is_dir() and (own or path.parent.is_dir())
    except OSError:  # a name that is too long
        legal = False
    if not legal:
        raise ConfigError(f"{key} must name a file in a folder that exists, got {given!r}")
    if path.is_file() and path.stat().st_size and not _is_mlflow_database(path):
        raise ConfigError(f"{key} must name a database of MLflow's, got {given!r}: {path} is something else")


def _is_mlflow_database(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall())
    except sqlite3.DatabaseError:
        return False


class UnreachableError(ConfigError):
    """A tracking server does not answer. What is on disk can be told to it later (`make sync`)."""


def connect(config: RunConfig) -> Any:
    """Return a client of MLflow's for the store of a config; make the database if it is our own and not there yet."""
    database = Results.at(config.results_dir).database
    if config.tracking.uri is None:
        create_database(database)
    client = import_mlflow().MlflowClient(tracking_uri(config))
    if config.tracking.uri is None:
        relocate_artifacts(database)
    return client


def relocate_artifacts(database: Path) -> None:
    """Let the entries of a results folder's own database point to the artifacts in this folder.

    MLflow keeps absolute addresses. After the folder was copied or moved, it would go on writing into the one it came
    from. MLflow has no command for that; the addresses are all that is changed, in one transaction.
    """
    here = (database.parent / "artifacts").as_uri()
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as tables, tables:
        rows = tables.execute("SELECT name, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        ends = [(place, f"/{quote(name)}") for name, place in rows.fetchall()]
        roots = {place.removesuffix(end) for place, end in ends if place.endswith(f"/artifacts{end}")}
        for old in sorted(root for root in roots if not _is_folder(root, here)):
            for table, column in ADDRESSES:
                tables.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                    (here, len(old) + 1, len(old) + 1, f"{old}/"),
                )
            logger.warning("%s was carried here: its entries now point to %s, no longer to %s", database, here, old)


def _is_folder(one: str, other: str) -> bool:
    """Return whether two addresses are of one folder, whatever it is called: a link, or another mount of it."""
    paths = [Path(url2pathname(urlsplit(place).path)) for place in (one, other)]
    try:
        return one == other or paths[0].samefile(paths[1])
    except OSError:  # not there
        return False


@contextlib.contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Turn whatever a driver, a proxy or a database raises into one line about `tracking.uri`.

    Raises UnreachableError for a server, ConfigError for a database, OSError if it is the disk that fails.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        if uri.startswith(SQLITE) and isinstance(error, OSError):
            raise
        if uri.startswith(SQLITE) and "disk" in first_line:  # SQLite's own words: `database or disk is full`
            raise OSError(f"{uri.removeprefix(SQLITE)} cannot be written: {first_line}") from error
        kind = UnreachableError if uri.startswith(("http://", "https://")) else ConfigError
        raise kind(f"tracking.uri must name a store that answers, got {uri!r}: {first_line}") from error


def create_database(path: Path) -> None:
    """Make the database whole or not at all: several processes that migrate one empty file break each other."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}-*"):
        with contextlib.suppress(OSError):  # another process removes it too
            if is_left_over(left):
                shutil.rmtree(left)
    folder = partial_path(path)  # SQLite has files of its own beside the database
    folder.mkdir()
    partial = folder / path.name
    try:
        import_mlflow().MlflowClient(f"{SQLITE}{partial}").search_experiments()
        with contextlib.closing(sqlite3.connect(partial)) as database:
            # A commit then costs one write instead of three, and the UI reads while a sweep writes. It stays with the
            # file.
            database.execute("PRAGMA journal_mode=WAL")
        os.link(partial, path)
    except FileExistsError:
        pass  # another process was first; its database is as good
    finally:
        shutil.rmtree(folder, ignore_errors=True)
