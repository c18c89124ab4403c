"""Connecting to MLflow: the tracking URI, its checks, and the SQLite database of a results folder."""

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
from nnlab.record.files import claim_name, is_stale, partial_path
from nnlab.results import Results

__all__ = [
    "SQLITE",
    "UnreachableError",
    "check_uri",
    "connect",
    "create_database",
    "import_mlflow",
    "plain_errors",
    "relocate_artifacts",
    "tracking_uri",
]

SQLITE = "sqlite:///"

_ARTIFACT_COLUMNS = (
    *(("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location")),
    *(("model_versions", "source"), ("model_versions", "storage_location")),
)
"""The tables and columns in which MLflow keeps addresses of artifacts."""

logger = logging.getLogger(__name__)


class UnreachableError(ConfigError):
    """The tracking server does not answer. `nnlab sync` logs later what is on disk."""


def import_mlflow() -> Any:
    """Import mlflow with nnlab's settings: no telemetry, short timeouts, and `MLFLOW_RUN_ID` ignored."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # the default of 7 takes two minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for each run
    os.environ.pop("MLFLOW_RUN_ID", None)
    import mlflow

    # These loggers report each new table and print a traceback for each error, in the middle of the progress bar.
    for name in ("mlflow.store.db.utils", "alembic", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


# ---- the tracking URI


def tracking_uri(config: RunConfig) -> str:
    """Return the tracking URI of a config; the default is the SQLite file in the results folder.

    Relative SQLite paths become absolute by the same rule as `results_dir`.
    """
    uri = config.tracking.uri
    if uri is None:
        return f"{SQLITE}{Results.at(config.results_dir).database}"
    return f"{SQLITE}{Results.at(uri.removeprefix(SQLITE)).folder}" if uri.startswith(SQLITE) else uri


def check_uri(config: RunConfig) -> None:
    """Raise ConfigError if the tracking URI of a config cannot work, as far as can be checked without connecting.

    MLflow retries a database that does not open for minutes, and then shows a traceback.
    """
    uri, is_default = tracking_uri(config), config.tracking.uri is None
    key, value = ("results_dir", config.results_dir) if is_default else ("tracking.uri", config.tracking.uri)
    if uri.startswith("sqlite:") and not uri.startswith(SQLITE):
        raise ConfigError(f"{key} must name a file if it is SQLite, as in sqlite:///path/mlflow.db, got {value!r}")
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    reserved = [character for character in "%?#" if character in str(path)]
    if reserved:
        raise ConfigError(
            f"{key} must not contain {' '.join(reserved)}, which have a special meaning in SQLite's URIs "
            f"(tracking=off allows them), got {value!r}"
        )
    try:
        is_possible = not path.is_dir() and (is_default or path.parent.is_dir())
    except OSError:  # the name is too long
        is_possible = False
    if not is_possible:
        raise ConfigError(f"{key} must name a file in a folder that exists, got {value!r}")
    if path.is_file() and path.stat().st_size and not _is_mlflow_database(path):
        raise ConfigError(f"{key} must name an MLflow database, got {value!r}: {path} is something else")


def _is_mlflow_database(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall())
    except sqlite3.DatabaseError:
        return False


# ---- opening


def connect(config: RunConfig) -> Any:
    """Return an MLflow client for the tracking URI of a config.

    The database of the results folder is created if it does not exist, and relocated if the folder was moved.
    """
    database = Results.at(config.results_dir).database
    if config.tracking.uri is None:
        create_database(database)
    client = import_mlflow().MlflowClient(tracking_uri(config))
    if config.tracking.uri is None:
        relocate_artifacts(database)
    return client


@contextlib.contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Replace any error of a driver, a proxy or a database by one line about `tracking.uri`.

    Raises UnreachableError for a server, ConfigError for a database, OSError if the disk fails.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        if uri.startswith(SQLITE) and isinstance(error, OSError):
            raise
        if uri.startswith(SQLITE) and "disk" in first_line:  # SQLite's message is `database or disk is full`
            raise OSError(f"{uri.removeprefix(SQLITE)} cannot be written: {first_line}") from error
        kind = UnreachableError if uri.startswith(("http://", "https://")) else ConfigError
        raise kind(
            f"tracking.uri must name a tracking server or database that answers, got {uri!r}: {first_line}"
        ) from error


# ---- the SQLite database of a results folder


def create_database(path: Path) -> None:
    """Create an MLflow database if there is none; never leave a partial one.

    Processes that migrate one empty file at the same time break each other, so each creates its own and the first to
    finish puts it in place.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in path.parent.glob(f".{path.name}-*"):
        with contextlib.suppress(OSError):  # another process deletes it too
            if is_stale(abandoned):
                shutil.rmtree(abandoned)
    folder = partial_path(path)  # a folder, since SQLite keeps more files beside the database
    folder.mkdir()
    partial = folder / path.name
    try:
        import_mlflow().MlflowClient(f"{SQLITE}{partial}").search_experiments()
        with contextlib.closing(sqlite3.connect(partial)) as database:
            # A commit takes one write instead of three, and the UI can read while a sweep writes. The mode is kept in
            # the file.
            database.execute("PRAGMA journal_mode=WAL")
        claim_name(partial, path)
    except FileExistsError:
        pass  # another process was first; its database is equivalent
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def relocate_artifacts(database: Path) -> None:
    """Point the entries of a results folder's database to the artifacts in the same folder.

    MLflow keeps absolute addresses. After the folder is copied or moved, it would write artifacts into the old one.
    MLflow has no command for this. Only the addresses change, in one transaction.
    """
    new = (database.parent / "artifacts").as_uri()
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as tables, tables:
        for old in sorted(root for root in _artifact_roots(tables) if not _is_same_folder(root, new)):
            for table, column in _ARTIFACT_COLUMNS:
                tables.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                    (new, len(old) + 1, len(old) + 1, f"{old}/"),
                )
            logger.warning("%s was moved or copied: its entries now point to %s, no longer to %s", database, new, old)


def _artifact_roots(tables: sqlite3.Connection) -> set[str]:
    """Return the addresses of the artifact folders that the experiments of a database use."""
    rows = tables.execute("SELECT name, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
    suffixes = [(location, f"/{quote(name)}") for name, location in rows.fetchall()]
    return {location.removesuffix(end) for location, end in suffixes if location.endswith(f"/artifacts{end}")}


def _is_same_folder(first: str, second: str) -> bool:
    """Return True if two addresses name one folder; a link or another mount may give it two names."""
    paths = [Path(url2pathname(urlsplit(address).path)) for address in (first, second)]
    try:
        return first == second or paths[0].samefile(paths[1])
    except OSError:  # one of them does not exist
        return False
