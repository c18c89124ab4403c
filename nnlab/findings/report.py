"""One HTML page about an experiment: settings, verdicts, curves, tables over seeds, failures, how it was made.

Self-contained; opens without network.
"""

import base64
import io
from collections.abc import Callable, Collection, Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnlab.config import RunConfig, results_path
from nnlab.findings.analysis import holes, load_curves, load_runs, summary_table, varied, verdict_table
from nnlab.findings.plots import cost_curves, metric_by_value, verdict_map
from nnlab.findings.statistics import constant
from nnlab.record.logbook import Logbook, Summary

__all__ = ["report"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 72rem; margin: auto;
  padding: 1rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
img { max-width: 100%; height: auto } code { background: #f3f3f3; padding: .1rem .3rem; overflow-wrap: anywhere }
@media print { body { max-width: none } }
"""


def report(experiment: str, results_dir: str = RunConfig.results_dir) -> str:
    """Return the page about all recorded runs of an experiment. Raises ConfigError if there are none."""
    runs = load_runs(experiment, results_dir)
    swept = varied(runs)
    metrics = [
        name for name in ("accuracy/test", "r2/test", "accuracy/train", "r2/train", "cost/train") if name in runs
    ]
    seeds = runs["seed"].nunique()
    parts = [
        f"<p>{len(runs)} run{'s' * (len(runs) > 1)}, {seeds} seed{'s' * (seeds > 1)}.</p>",
        "<h2>What was varied</h2>" + _values(runs, swept),
        _missing(holes(runs, swept)),
        "<h2>Verdicts</h2><p>One word per setting; counts where seeds differ.</p>"
        + _map(runs, swept)
        + _html(verdict_table(runs, swept, allow_incomplete=True)),
        "<h2>Curves</h2>" + _curves(runs, swept),
        *(
            f"<h2>{name}</h2><p>Interquartile mean over seeds, in brackets its 95 % bootstrap interval.</p>"
            + _table(runs, swept, name)
            for name in metrics
        ),
    ]
    sweeps = [sweep for sweep in Logbook(results_path(results_dir)) if sweep.experiment == experiment]
    parts += [
        _failures(sweeps, set(runs["fingerprint"])),
        "<h2>What was the same in all runs</h2>" + _same(runs),
        _made(sweeps),
    ]
    title = escape(f"nnlab: {experiment}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{''.join(parts)}</main></body></html>\n"
    )


def _missing(found: Sequence[str]) -> str:
    """Return what keeps the tables from being complete: runs that failed, or were not made yet."""
    if not found:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in found)
    return f"<h2>What is missing</h2><p>Some settings lack seeds that others have:</p><ul>{items}</ul>"


def _failures(sweeps: Sequence[Summary], made: Collection[str]) -> str:
    """Return each run that raised and was not made later, with its last words and how to repeat it."""
    latest = {failure["fingerprint"]: failure for sweep in sweeps for failure in sweep.failures}
    items = [
        f"<li>{escape(failure['name'])}: {escape(failure['traceback'].strip().splitlines()[-1])}<br>"
        f"<code>{escape(failure['command'])}</code></li>"
        for fingerprint, failure in latest.items()
        if fingerprint not in made
    ]
    return f"<h2>Runs that failed</h2><ul>{''.join(items)}</ul>" if items else ""


def _same(runs: pd.DataFrame) -> str:
    return _html(pd.DataFrame({"value": constant(runs)}).astype(str))


def _made(sweeps: Sequence[Summary]) -> str:
    """Return by which commands the runs were made, when, and with what."""
    items = []
    for sweep in reversed(sweeps):
        versions = ", ".join(f"{name} {version}" for name, version in sweep.versions.items())
        command = f"<br><code>{escape(sweep.command)}</code>" if sweep.command else ""
        items.append(
            f"<li>{escape(sweep.started)}, {escape(sweep.status)}: {sweep.made} runs made, {sweep.done} done before, "
            f"{len(sweep.failures)} failed, {sweep.seconds:.0f} s; {escape(versions)}{command}</li>"
        )
    return f"<h2>How it was made</h2><ul>{''.join(items)}</ul>" if items else ""


def _values(runs: pd.DataFrame, swept: Sequence[str]) -> str:
    rows = {key: ", ".join(str(value) for value in sorted(runs[key].dropna().unique())) for key in swept}
    return _html(pd.DataFrame({"values": rows})) if rows else "<p>Nothing: all runs are alike.</p>"


def _table(runs: pd.DataFrame, swept: Sequence[str], metric: str) -> str:
    return _html(summary_table(runs, swept, metric, allow_incomplete=True))


def _html(table: pd.DataFrame) -> str:
    return f'<div class="wide" tabindex="0">{table.to_html(escape=True, border=0)}</div>'


def _arranged(runs: pd.DataFrame, swept: Sequence[str]) -> tuple[str | None, str, str]:
    """Return the keys for panels (few values), colours or rows (some), and the axis (many)."""
    keys = sorted((key for key in swept if key != "seed"), key=lambda key: runs[key].nunique()) or ["seed"]
    panel = keys.pop(0) if len(keys) > 2 and runs[keys[0]].nunique() <= _PANELS else None
    return panel, keys[0], keys[-1]


def _map(runs: pd.DataFrame, swept: Sequence[str]) -> str:
    panel, y, x = _arranged(runs, swept)
    if x == y:
        return ""
    return _panels(runs, panel, lambda frame, ax: verdict_map(frame, ax, x, y), f"Verdict by {x} and {y}")


def _curves(runs: pd.DataFrame, swept: Sequence[str]) -> str:
    """Return the figures: few values side by side as panels, some as colours, many along the axis."""
    panel, by, x = _arranged(runs, swept)
    curves = load_curves(runs, ["cost/train"])
    curves = curves[np.isfinite(curves["value"]) & (curves["value"] > 0)]
    columns = dict.fromkeys(["fingerprint", "seed", by, *([panel] if panel else [])])
    curves = curves.merge(runs[list(columns)], on="fingerprint")
    reference = float(np.log(2)) if set(runs["data.name"]) <= _TWO_BALANCED_CLASSES else None
    score = "accuracy/test" if "accuracy/test" in runs else "r2/test"
    return _panels(curves, panel, lambda frame, ax: cost_curves(frame, ax, by, reference), f"Cost by {by}") + (
        _panels(runs, panel, lambda frame, ax: metric_by_value(frame, ax, score, x, by), f"{score} by {x} and {by}")
        if x != by
        else ""
    )


_PANELS = 4
_TWO_BALANCED_CLASSES = {"flower", "circles", "moons", "blobs", "quantiles", "xor"}


def _panels(frame: pd.DataFrame, panel: str | None, draw: Callable[[pd.DataFrame, Axes], Axes], title: str) -> str:
    """Draw one panel for each value of `panel`, with the same limits, as an inline image."""
    groups = list(frame.groupby(panel)) if panel else [("", frame)]
    figure = Figure(figsize=(max(7.0, 4.2 * len(groups)), 4.2), layout="constrained")
    axes = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for place, (ax, (value, group)) in enumerate(zip(axes, groups, strict=True)):
        draw(group, ax)
        if panel:
            ax.set_title(f"{panel} = {value!s}")
        if place:
            ax.set_ylabel("")
    _share_legend(figure, axes)
    seeds = frame["seed"].nunique()
    figure.suptitle(f"{title}: {frame['fingerprint'].nunique()} runs, {seeds} seed{'s' * (seeds > 1)}")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    data = base64.b64encode(image.getvalue()).decode()
    return f'<p><img alt="{escape(title)}" src="data:image/png;base64,{data}"></p>'


def _share_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend beside the panels, with all that any of them shows."""
    legends = [legend for ax in axes if (legend := ax.get_legend()) is not None]
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    title = legends[0].get_title().get_text() if legends else ""
    for legend in legends:
        legend.remove()
    figure.legend(entries.values(), entries.keys(), title=title, loc="outside right upper", frameon=False, fontsize=8)
