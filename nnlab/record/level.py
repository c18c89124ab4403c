"""Whether MLflow knows everything already, found out without MLflow.

To import it and to open its database takes two seconds. A sweep typed again that has nothing to tell need not wait for
them: what it would ask are a few rows of the SQLite file in the results folder, and the ledger.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from nnlab.config import SWEEPS
from nnlab.record.ledger import Ledger
from nnlab.record.mlflow_store import SQLITE
from nnlab.record.tracking import DESCRIPTION, MODEL_TAG
from nnlab.record.views import links, same_view, views_beside

__all__ = ["views_if_level"]


def views_if_level(
    results: Path,
    experiment: str,
    *,
    runs: Iterable[str],
    sweeps: Iterable[str],
    swept: Iterable[str] | None,
    best: str | None = None,
    described: bool = False,
) -> dict[str, str]:
    """Return what MLflow's UI shows of an experiment, with the paths, if its database in `results` lacks nothing.

    That is: it knows the `runs` (fingerprints) and the `sweeps` (names), nobody was cut off while telling it of others,
    its view shows what was `swept` (None: it has one), the run `best` has its model, and the experiment is `described`.
    Empty if something is missing, or the database is another one than the ledger is about, was carried here, or cannot
    be read.
    """
    database = results / "mlflow.db"
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as tables:
            found = _experiment_that_knows(tables, results, experiment, runs)
            if not found or not _experiment_that_knows(tables, results, SWEEPS, sweeps):
                return {}
            tags = dict(tables.execute("SELECT key, value FROM experiment_tags WHERE experiment_id = ?", (found,)))
            wanted = views_beside(tags, swept)
            shown = all(name in tags and same_view(tags[name], wanted[name]) for name in wanted)
            told = shown and (DESCRIPTION in tags or not described)
            if best and not _has_its_model(tables, _ledger(results, experiment).run_id(best)):
                return {}
    except sqlite3.Error:  # there is none, or MLflow has to say what is wrong with it
        return {}
    return links(str(found), wanted) if told else {}


def _ledger(results: Path, experiment: str) -> Ledger:
    return Ledger(results, experiment, f"{SQLITE}{results / 'mlflow.db'}")


def _experiment_that_knows(
    tables: sqlite3.Connection, results: Path, experiment: str, names: Iterable[str]
) -> int | None:
    row = tables.execute(
        "SELECT experiment_id, creation_time, lifecycle_stage, artifact_location FROM experiments WHERE name = ?",
        (experiment,),
    ).fetchone()
    if not row:
        return None
    identifier, born, stage, place = row
    at_home = place == (results / "artifacts" / experiment).as_uri()
    ledger = _ledger(results, experiment)
    if stage != "active" or not at_home or not ledger.belongs_to(f"{identifier} {born}") or ledger.abandoned():
        return None
    return int(identifier) if ledger.settled().issuperset(names) else None


def _has_its_model(tables: sqlite3.Connection, run_id: str | None) -> bool:
    """Return whether a run's model is registered, or the run deleted: then it gets none."""
    row = tables.execute(
        "SELECT lifecycle_stage, (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = ?) "
        "FROM runs WHERE run_uuid = ?",
        (MODEL_TAG, run_id),
    ).fetchone()
    return bool(row) and (row[0] != "active" or row[1] is not None)
