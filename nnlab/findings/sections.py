"""The sections of a report: verdicts, curves and scores, each with a sentence, figures and tables."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from nnlab.findings.axes import curve_keys, map_keys
from nnlab.findings.intervals import statistic_name
from nnlab.findings.load import load_curves, with_cures
from nnlab.findings.maps import cure_map, verdict_map
from nnlab.findings.panels import panels, pooled, run_count, spread_name
from nnlab.findings.plots import clipped_runs, cost_curves, metric_by_value
from nnlab.findings.statistics import has_metric
from nnlab.findings.style import has_value, labels, values_of
from nnlab.findings.tables import decimals, score_table, scores_of, verdict_table
from nnlab.settings import setting_keys, setting_name, varied

__all__ = ["Block", "Section", "cure_sections", "figure_sections", "score_tables", "table_block", "verdict_section"]

METRICS = ("accuracy/test", "r2/test", "accuracy/train", "r2/train", "cost/train")

LEAST_SCORE = -1.0
"""The lowest score that is shown: an r2 far below it, as of runs that diverged, would press the others flat."""

UNBROKEN_SPACES = r"(?<=[a-z)]) (?=\d)|(?<=,) (?=[^\s\]]+\])"
"""The spaces of "healthy 4" and "[0.63, 0.67]", at which a narrow cell must not break."""


class Block(NamedTuple):
    """A table or a figure of the report; `alt` describes a figure in words."""

    title: str
    table: Markup = Markup()
    image: str = ""
    alt: str = ""
    width: int = 0
    height: int = 0


class Section(NamedTuple):
    """A heading, a sentence, and the blocks below it."""

    title: str
    text: str
    blocks: list[Block]


# ---- verdicts


def verdict_section(runs: pd.DataFrame, swept: Sequence[str]) -> Section:
    """Return the section of verdicts: a map, if at least two keys were swept besides the seed, and a table."""
    panel, y, x = map_keys(runs, swept)
    blocks = []
    if x != y:
        title = f"Outcome and cause by {x} and {y}"
        figure = panels(runs, panel, partial(verdict_map, x=x, y=y), title)
        counts = ", ".join(f"{name} {number}" for name, number in Counter(runs["outcome"]).most_common())
        alt = f"Map of tiles. {run_count(runs)}: {counts}. The table below has the verdicts of every tile."
        blocks.append(_figure_block(figure, title, alt))
    table = verdict_table(runs, swept, allow_incomplete=True)
    over = pooled(runs, [key for key in (panel, x, y) if key])
    text = (
        "The outcome says how much of what strong models find in the data a run has learned; the verdict, in one word, "
        f"why it learned or not. A tile shows {over or 'one run'}; the table counts where verdicts differ."
    )
    causes = set(runs["sweep_cause"])
    if "stuck" in causes:
        text += " Stuck runs did not learn although at least half of the other seeds did."
    if "narrow" in causes:
        text += " Narrow networks did not learn, and the same ones with more units did."
    return Section("Verdicts", text, [*blocks, table_block("verdicts", table)])


def cure_sections(runs: pd.DataFrame, swept: Sequence[str], explanations: pd.DataFrame) -> list[Section]:
    """Return the section of what would have helped, if `nnlab why` explained any of these runs."""
    explained = explanations[explanations["fingerprint"].isin(runs["fingerprint"])]
    if explained.empty:
        return []
    runs = with_cures(runs, explained)
    panel, y, x = map_keys(runs, swept)
    blocks = []
    if x != y:
        title = f"What would have helped, by {x} and {y}"
        columns, rows = (runs[key].nunique(dropna=False) for key in (x, y))
        size = (1.6 + 0.62 * columns, max(2.8, 1.0 + 0.5 * rows))
        draw = partial(cure_map, x=x, y=y)
        figure = panels(runs, None, draw, title, size, panel)
        counts = ", ".join(f"{name} {number}" for name, number in Counter(runs["cure"]).most_common())
        alt = f"Map of tiles. Runs: {counts}. The table below has every setting that was explained."
        blocks.append(_figure_block(figure, title, alt))
    text = (
        "For settings that did not learn, nnlab why changed one thing at a time, and two where no single one "
        "sufficed. These are the smallest changes with which at least 4 of 5 seeds learned."
    )
    return [Section("What would have helped", text, [*blocks, table_block("cures", _cure_table(runs, explained))])]


def _cure_table(runs: pd.DataFrame, explained: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each explained setting: the change that is named as the cause, and the others."""
    keys = setting_keys(runs)
    rows = runs[runs["fingerprint"].isin(explained["fingerprint"])].drop_duplicates(keys) if keys else runs.head(1)
    names = [setting_name({**setting}) for _, setting in rows[keys].iterrows()] if keys else ["all runs"]
    others = [", ".join(names) or "none" for names in rows["others"]]
    return pd.DataFrame({"smallest change": rows["cure"].tolist(), "would do as well": others}, index=names)


# ---- figures of curves and scores


def figure_sections(runs: pd.DataFrame, swept: Sequence[str]) -> list[Section]:
    """Return the sections of figures: the cost while training, and one score for each task."""
    scores = scores_of(runs) or ["cost/train"]
    sections = [_curve_section(runs, swept), *(_score_section(runs, score) for score in scores)]
    return [section for section in sections if section is not None]


def _curve_section(runs: pd.DataFrame, swept: Sequence[str]) -> Section | None:
    """Return the section of cost curves, None if these runs have none."""
    curves = load_curves(runs, ["cost/train"])
    if curves.empty:
        return None
    curves = curves.merge(runs[list(dict.fromkeys(["fingerprint", "seed", *swept]))], on="fingerprint")
    rows, columns, colours = curve_keys(runs, swept)
    title = f"Cost while training, by {colours}"
    size = (4.2, 4.2) if rows is None else (3.6, 3.0)
    draw = partial(cost_curves, by=colours, references=_common_references(runs))
    figure = panels(curves, columns, draw, title, size, rows)
    shown = [key for key in (rows, columns, colours) if key]
    over = pooled(runs, shown)
    text = "Every line is one run."
    if over:
        name = spread_name(runs, shown, statistic="median")
        text = f"Thin lines are runs; thick lines are the median over {over}. Bands: {name}."
    above = clipped_runs(curves)
    if above:
        text += f" {above} of {len(runs)} runs leave the figure at its upper edge and are drawn on it."
    alt = f"Curves. Median final cost: {_medians(runs, colours, 'cost/train')}."
    return Section("Curves", text, [_figure_block(figure, title, alt)])


def _common_references(runs: pd.DataFrame) -> dict[str, float]:
    """Return the reference costs that are the same for all runs, so that their lines are true in every panel."""
    names = {"knows nothing": "reference/nothing", "best affine model": "reference/affine"}
    return {name: float(runs[key].iloc[0]) for name, key in names.items() if key in runs and runs[key].nunique() == 1}


def _score_section(runs: pd.DataFrame, score: str) -> Section | None:
    """Return the section of a final score against what was swept, for the runs that have it.

    Return None if only the seed was swept among them.
    """
    runs = runs[has_metric(runs, score)]
    panel, by, x = map_keys(runs, varied(runs))
    if x == "seed":
        return None
    group = by if by != x else None
    title = f"{score} by {x}" + (f" and {by}" if group else "")
    figure = panels(runs, panel, partial(metric_by_value, metric=score, x=x, by=group), title)
    if figure.axes[0].get_ylim()[0] < LEAST_SCORE:
        figure.axes[0].set_ylim(bottom=LEAST_SCORE)  # panels share their limits
    shown = [key for key in (panel, by, x) if key]
    over = pooled(runs, shown)
    text = "Every dot is one run."
    if over:
        few = runs.groupby(shown, dropna=False).size()
        name, spread = statistic_name("iqm", few), spread_name(runs, shown)
        text = f"Every run is a dot, beside the {name} over {over}. Bars: {spread}."
    outside = int((~(runs[score].astype(float) >= LEAST_SCORE)).sum())
    if outside:
        text += f" {outside} of {len(runs)} runs lie below {LEAST_SCORE:g} or have no finite score and are not shown."
    alt = f"Points with intervals. Median over all runs: {_medians(runs, by, score)}."
    return Section("Scores", text, [_figure_block(figure, title, alt)])


def _medians(runs: pd.DataFrame, key: str, metric: str) -> str:
    """Return the median of a metric for each value of a key, as text."""
    values = values_of(runs, key)
    medians = (runs.loc[has_value(runs[key], value), metric].median() for value in values)
    return ", ".join(f"{name} {decimals(median)}" for name, median in zip(labels(values), medians, strict=True))


def _figure_block(figure: Figure, title: str, alt: str) -> Block:
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # once: savefig draws twice, for the layout and for the file
    width, height = canvas.get_width_height()
    content = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    return Block(title, image=data, alt=f"{title}. {alt}", width=width, height=height)


# ---- tables


def score_tables(runs: pd.DataFrame, swept: Sequence[str]) -> list[Section]:
    """Return a section with a table for each final metric."""
    sections = []
    for name in METRICS:
        if has_metric(runs, name).any():
            cells, heading = score_table(runs, swept, name, allow_incomplete=True)
            text = f"{heading[:1].upper()}{heading[1:]}." if heading else "One run each."
            sections.append(Section(name, text, [table_block(name, cells)]))
    return sections


def table_block(title: str, table: pd.DataFrame) -> Block:
    """Return a table as HTML."""
    table = table.replace(UNBROKEN_SPACES, "\N{NO-BREAK SPACE}", regex=True)
    html = table.to_html(escape=True, border=0, na_rep="-")
    html = html.replace("<th></th>", "<td></td>")  # an empty heading would confuse screen readers
    return Block(title, table=Markup(html))  # noqa: S704 pandas escapes
