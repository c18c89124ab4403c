"""One HTML page about an experiment: question, verdicts, curves, tables over seeds, failures, how it was made.

Self-contained; opens without network. The page is laid out in report.html.j2.
"""

import base64
import io
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from nnlab.config import RunConfig, flatten
from nnlab.findings.completeness import holes
from nnlab.findings.intervals import interval_name
from nnlab.findings.load import load_curves, load_runs
from nnlab.findings.panels import count, panels, pooled, spread_name
from nnlab.findings.plots import clipped, cost_curves, metric_by_value, verdict_map
from nnlab.findings.style import COLOURS, VERDICT_STYLES, ink, labels, values_of
from nnlab.findings.tables import decimals, most_seeds, summary_table, verdict_table
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.settings import by_architecture, constant, varied

__all__ = ["panel_keys", "report"]

MOST_PANELS = 4
LEAST_SCORE = -1.0
"""An r2 below it, as of runs that diverged, would press the others flat."""
METRICS = ("accuracy/test", "r2/test", "accuracy/train", "r2/train", "cost/train")
TOGETHER = r"(?<=[a-z]) (?=\d)|(?<=,) (?=[^\s\]]+\])"
"""The spaces of "healthy 4" and "[0.63, 0.67]", where a narrow cell must not break."""


class Block(NamedTuple):
    """A table or a figure of the page; a figure says in `alt` what is to be seen."""

    title: str
    table: Markup = Markup()
    image: str = ""
    alt: str = ""
    width: int = 0
    height: int = 0


class Section(NamedTuple):
    """A heading, a sentence, and what follows."""

    title: str
    text: str
    blocks: list[Block]


def report(
    experiment: str, results_dir: str = RunConfig.results_dir, fingerprints: Collection[str] | None = None
) -> str:
    """Return the page about the recorded runs of an experiment: all of them, or those of some fingerprints.

    Raises ConfigError if there are none.
    """
    everything = load_runs(experiment, results_dir)
    runs = everything if fingerprints is None else everything[everything["fingerprint"].isin(list(fingerprints))]
    runs = by_architecture(runs.reset_index(drop=True))
    swept = varied(runs)
    logbook = SweepLog(Results.at(results_dir))
    sweeps = [sweep for sweep in logbook if sweep.experiment == experiment]
    made = set(everything["fingerprint"])
    words = jinja2.Environment(
        loader=jinja2.PackageLoader("nnlab.findings", ""), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return words.get_template("report.html.j2").render(
        experiment=experiment,
        question=logbook.question(experiment),
        runs=count(runs),
        others=len(everything) - len(runs),
        verdicts=[
            {"name": name, "count": number, "colour": VERDICT_STYLES[name][1], "ink": ink(VERDICT_STYLES[name][1])}
            for name, number in Counter(runs["verdict"]).most_common()
        ],
        swept=_values(runs, swept),
        missing=_missing(runs, swept, sweeps),
        sections=[_verdicts(runs, swept), *_curves(runs, swept), *_scores(runs, swept)],
        failures=_failures(sweeps, made),
        same=_same(runs),
        sweeps=list(reversed(sweeps)),
    )


# ---- words


def _missing(runs: pd.DataFrame, swept: Sequence[str], sweeps: Sequence[SweepSummary]) -> list[str]:
    """Return what keeps the tables from being complete: settings without some seed, runs that were cut off."""
    found = [f"{hole}: other settings have it" for hole in holes(runs, swept)]
    if sweeps:
        last, made = sweeps[-1], set(runs["fingerprint"])
        left = [name for fingerprint, name in last.runs.items() if fingerprint not in made]
        if left:
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            found.append(f"of the last sweep, {len(left)} runs: {', '.join(left[:5])}{more}")
    return found


def _failures(sweeps: Sequence[SweepSummary], made: Collection[str]) -> list[dict[str, str]]:
    """Return each run that raised and was not made later, with its last words and how to repeat it."""
    latest = {failure["fingerprint"]: failure for sweep in sweeps for failure in sweep.failures}
    return [
        {**failure, "error": failure["traceback"].strip().splitlines()[-1]}
        for fingerprint, failure in latest.items()
        if fingerprint not in made
    ]


# ---- tables


def _values(runs: pd.DataFrame, swept: Sequence[str]) -> Block | None:
    rows = {key: _listed_values(runs, key) for key in swept}
    for key in flatten(RunConfig()):
        # What never varied alone may be what made the difference; what a data set brings with it belongs to it.
        own = key.split(".")[0] in ("model", "init", "training") and key in runs and key not in swept
        if own and runs[key].nunique(dropna=False) > 1:
            rows[f"{key} (never alone)"] = _listed_values(runs, key)
    return _table("varied keys", pd.DataFrame({"values": rows})) if rows else None


def _listed_values(runs: pd.DataFrame, key: str) -> str:
    return ", ".join(labels(values_of(runs, key)))


def _same(runs: pd.DataFrame) -> Block:
    known = {key: str(value) for key, value in constant(runs).items() if runs[key].notna().all()}
    return _table("the same in all runs", pd.DataFrame({"value": known}))


def _scores(runs: pd.DataFrame, swept: Sequence[str]) -> list[Section]:
    keys = [key for key in swept if key != "seed"]
    seeds = most_seeds(runs, keys)
    over = pooled(runs, keys) or "one run each"
    text = f"Interquartile mean over {over}, in brackets its {interval_name(seeds)}."
    if seeds >= 6:
        text += " Where fewer than six runs are there, it is their range."
    return [
        Section(name, text, [_table(name, summary_table(runs, swept, name, allow_incomplete=True))])
        for name in METRICS
        if name in runs
    ]


def _table(title: str, table: pd.DataFrame) -> Block:
    table = table.replace(TOGETHER, "\N{NO-BREAK SPACE}", regex=True)
    html = table.to_html(escape=True, border=0, na_rep="-").replace(
        "<th></th>", "<td></td>"
    )  # a heading that says nothing
    return Block(title, table=Markup(html))  # noqa: S704 pandas escapes


# ---- figures


def _arranged(runs: pd.DataFrame, swept: Sequence[str]) -> tuple[str | None, str, str]:
    """Return the keys for panels (few values), colours or rows (some), and the axis (many)."""
    keys = sorted((key for key in swept if key != "seed"), key=lambda key: runs[key].nunique()) or ["seed"]
    panel = keys.pop(0) if len(keys) > 2 and runs[keys[0]].nunique() <= MOST_PANELS else None
    return panel, keys[0], keys[-1]


def panel_keys(runs: pd.DataFrame, swept: Sequence[str]) -> tuple[str | None, str | None, str]:
    """Return the keys for rows of panels, columns and colours that tell as many settings apart as can be seen."""
    keys = sorted((key for key in swept if key != "seed"), key=lambda key: runs[key].nunique()) or ["seed"]
    while len(keys) > 3 or (len(keys) > 1 and runs[keys[-1]].nunique() > len(COLOURS)):
        keys.pop()  # pooled: the key with most values
    few = [key for key in keys[:-1] if runs[key].nunique() <= MOST_PANELS]
    rows, columns = [None, None, *few][-2:]
    return rows, columns, keys[-1]


def _verdicts(runs: pd.DataFrame, swept: Sequence[str]) -> Section:
    panel, y, x = _arranged(runs, swept)
    blocks = []
    if x != y:
        title = f"Verdict by {x} and {y}"
        figure = panels(runs, panel, lambda frame, ax: verdict_map(frame, ax, x, y), title)
        counts = ", ".join(f"{name} {number}" for name, number in Counter(runs["verdict"]).most_common())
        blocks.append(_figure(figure, title, f"Map of tiles. {count(runs)}: {counts}. The table below has every tile."))
    table = verdict_table(runs, swept, allow_incomplete=True)
    over = pooled(runs, [key for key in (panel, x, y) if key])
    text = (
        f"One word says why a run learned or not. A tile is of {over or 'one run'}; the table counts where they differ."
    )
    if (runs["verdict"] == "healthy").any():
        text += (
            " Healthy is what fits the training data better than the best affine model can, however little better, or, "
            "where that one fits all but perfectly, brings the cost below a twentieth of what class shares alone cost."
        )
    return Section("Verdicts", text, [*blocks, _table("verdicts", table)])


def _curves(runs: pd.DataFrame, swept: Sequence[str]) -> list[Section]:
    """Return the figures: few values side by side as panels, some as colours, many along the axis."""
    rows, columns, colours = panel_keys(runs, swept)
    curves = load_curves(runs, ["cost/train"])
    curves = curves.merge(runs[list(dict.fromkeys(["fingerprint", "seed", *swept]))], on="fingerprint")
    references = _references(runs)
    sections = []
    if len(curves):
        title = f"Cost while training, by {colours}"
        size = (4.2, 4.2) if rows is None else (3.6, 3.0)
        figure = panels(
            curves, columns, lambda frame, ax: cost_curves(frame, ax, colours, references), title, size, rows
        )
        alt = f"Curves. Median final cost: {_listed(runs, colours, 'cost/train')}."
        shown = [key for key in (rows, columns, colours) if key]
        over = pooled(runs, shown)
        text = f"Thin: every run. Thick: the median over {over}, with its {spread_name(runs, shown)}."
        text = text if over else "Every line is one run."
        above = clipped(curves)
        if above:
            text += f" {above} of {len(runs)} runs leave the figure at its upper edge and are drawn on it."
        sections.append(Section("Curves", text, [_figure(figure, title, alt)]))
    return [*sections, *filter(None, (_score_figure(runs, score) for score in _scores_to_draw(runs)))]


def _scores_to_draw(runs: pd.DataFrame) -> list[str]:
    """Return one score for each task, or whatever there is."""
    return [name for name in METRICS[:2] if name in runs] or [name for name in METRICS if name in runs][:1]


def _score_figure(runs: pd.DataFrame, score: str) -> Section | None:
    """Return the final score of the runs whose task has it, against what was varied among them besides the seed."""
    runs = runs[runs["task"].isin(runs.loc[runs[score].notna(), "task"])]
    panel, by, x = _arranged(runs, varied(runs))
    if x == "seed":
        return None
    group = by if by != x else None
    title = f"{score} by {x}" + (f" and {by}" if group else "")
    figure = panels(runs, panel, lambda frame, ax: metric_by_value(frame, ax, score, x, group), title)
    alt = f"Points with intervals. Median over all runs: {_listed(runs, by, score)}."
    shown = [key for key in (panel, by, x) if key]
    over = pooled(runs, shown)
    text = f"Every run a dot; the interquartile mean over {over}, with its {spread_name(runs, shown)}."
    text = text if over else "Every dot is one run."
    if figure.axes[0].get_ylim()[0] < LEAST_SCORE:
        figure.axes[0].set_ylim(bottom=LEAST_SCORE)  # of all panels
    outside = int((~(runs[score].astype(float) >= LEAST_SCORE)).sum())
    if outside:
        text += (
            f" {outside} of {len(runs)} runs lie below {LEAST_SCORE:g} or have no finite score: they are not seen here."
        )
    return Section("Scores", text, [_figure(figure, title, alt)])


def _references(runs: pd.DataFrame) -> dict[str, float]:
    """Return the costs that are the same for all runs, so that lines across every panel are true."""
    names = {"knows nothing": "reference/nothing", "best affine model": "reference/affine"}
    return {name: float(runs[key].iloc[0]) for name, key in names.items() if key in runs and runs[key].nunique() == 1}


def _listed(runs: pd.DataFrame, key: str, metric: str) -> str:
    """Return the median of a metric for each value of a key."""
    values = values_of(runs, key)
    medians = (runs.loc[runs[key].isna() if value is None else runs[key] == value, metric].median() for value in values)
    return ", ".join(f"{name} {decimals(median)}" for name, median in zip(labels(values), medians, strict=True))


def _figure(figure: Figure, title: str, alt: str) -> Block:
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # once: savefig draws twice, for the layout and for the file
    width, height = canvas.get_width_height()
    content = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    return Block(title, image=data, alt=f"{title}. {alt}", width=width, height=height)
