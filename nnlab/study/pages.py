"""What a sweep leaves to read: its tables and its report, in its folder; the report in `reports` as well.

Computing and drawing them takes seconds. A sweep that changed nothing copies the files of an earlier sweep of the same
runs.
"""

from dataclasses import dataclass
from pathlib import Path

from nnlab.record.files import write_atomically
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.study.plan import Plan

__all__ = ["Pages", "write_pages"]

TABLES = "tables.txt"


@dataclass(frozen=True)
class Pages:
    """What was written about a sweep.

    Attributes
    ----------
    tables : verdicts and final metrics as text, which the terminal shows
    report : its file; None if `tracking.report` is false
    failure : why tables or report could not be written; empty if they were
    """

    tables: str
    report: Path | None
    failure: str


def write_pages(plan: Plan, summary: SweepSummary, sweeps: SweepLog, *, changed: bool) -> Pages:
    """Write the tables and the report of a sweep. A failure here does not fail the sweep: its runs are recorded.

    The sweep may have more runs than the plan: a sweeper that searches makes one plan for each batch.
    """
    tables, page, failure = "", None, ""
    if not plan.folders.fingerprints():
        return Pages(tables, page, failure)
    before = None if changed else _earlier_sweep(plan, summary, sweeps)
    try:
        tables = _write_tables(summary, sweeps, plan.results, before)
        if plan.config.tracking.report:
            page = _write_report(summary, sweeps, plan.results, before)
    except Exception as error:
        failure = (str(error).splitlines() or [""])[0] or type(error).__name__
    return Pages(tables, page, failure)


def _earlier_sweep(plan: Plan, summary: SweepSummary, sweeps: SweepLog) -> Path | None:
    """Return the folder of the last finished sweep of the same runs by the same code; None if there is none.

    None as well if a run was judged again, or a setting explained, since that sweep.
    """
    wanted = (summary.experiment, summary.runs.keys(), summary.versions)
    for earlier in reversed(list(sweeps)):
        same = (earlier.experiment, earlier.runs.keys(), earlier.versions) == wanted
        if same and earlier.sweep != summary.sweep and earlier.status == "FINISHED":
            folder = sweeps.path(earlier.sweep)
            return None if _last_change(plan, summary) > _modified(folder / TABLES) else folder
    return None


def _last_change(plan: Plan, summary: SweepSummary) -> float:
    """Return when the last of the sweep's runs, or the last explanation of its experiment, was written."""
    runs = [plan.folders.path(fingerprint) / "run.json" for fingerprint in summary.runs]
    return max(map(_modified, [*runs, *plan.results.explanations(summary.experiment).glob("*.json")]))


def _modified(path: Path) -> float:
    """Return when a file was last written; 0 if it does not exist."""
    return path.stat().st_mtime if path.is_file() else 0.0


def _write_tables(summary: SweepSummary, sweeps: SweepLog, results: Results, before: Path | None) -> str:
    text = _text_of(before, TABLES)
    if not text:
        from nnlab.findings.tables import overview  # scipy.stats takes half a second

        text = overview(summary.experiment, str(results.folder), summary.swept, list(summary.runs))
    write_atomically(sweeps.path(summary.sweep) / TABLES, text)
    return text


def _write_report(summary: SweepSummary, sweeps: SweepLog, results: Results, before: Path | None) -> Path:
    page = results.report(f"{summary.experiment}.html")
    text = _text_of(before, page.name)
    if not text:
        from nnlab.findings.report import report  # and so does matplotlib

        text = report(summary.experiment, str(results.folder), list(summary.runs))
    for path in (sweeps.path(summary.sweep) / page.name, page):
        write_atomically(path, text)
    return page


def _text_of(folder: Path | None, name: str) -> str:
    path = folder / name if folder else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else ""
