"""What a sweep leaves for people to read: tables and a page, among its files; the page in `reports` as well.

To compute and draw them takes seconds. A sweep that changed nothing takes over those of an earlier one of its runs.
"""

from pathlib import Path

from nnlab.record.files import write_whole
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results

__all__ = ["sweep_of_before", "write_page", "write_tables"]

TABLES = "tables.txt"
"""What the terminal shows at the end."""


def sweep_of_before(summary: SweepSummary, logbook: SweepLog) -> Path | None:
    """Return the folder of the last sweep of the same runs that came to its end, None if there was none."""
    for earlier in reversed(list(logbook)):
        same = (earlier.experiment, earlier.runs.keys()) == (summary.experiment, summary.runs.keys())
        if same and earlier.sweep != summary.sweep and earlier.status == "FINISHED":
            return logbook.path(earlier.sweep)
    return None


def write_tables(summary: SweepSummary, logbook: SweepLog, results: Results, before: Path | None) -> str:
    """Write the tables of verdicts and final metrics, those of `before` if they are there; return them."""
    text = _text_of(before, TABLES)
    if not text:
        from nnlab.findings.tables import overview  # scipy.stats takes half a second

        text = overview(summary.experiment, str(results.folder), summary.swept, list(summary.runs))
    write_whole(logbook.path(summary.sweep) / TABLES, text)
    return text


def write_page(summary: SweepSummary, logbook: SweepLog, results: Results, before: Path | None) -> Path:
    """Write the report, that of `before` if it is there; return where people look for it."""
    page = results.report(f"{summary.experiment}.html")
    text = _text_of(before, page.name)
    if not text:
        from nnlab.findings.report import report  # and so does matplotlib

        text = report(summary.experiment, str(results.folder), list(summary.runs))
    for path in (logbook.path(summary.sweep) / page.name, page):
        write_whole(path, text)
    return page


def _text_of(folder: Path | None, name: str) -> str:
    path = folder / name if folder else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else ""
