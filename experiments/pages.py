"""Where findings are published: findings.json of each experiment, and the generated part of the READMEs."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.findings import Finding, table

__all__ = [
    "BEGIN",
    "END",
    "HERE",
    "block",
    "experiments",
    "overview",
    "read_findings",
    "unmarked",
    "write_block",
    "write_findings",
]

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
"""Text between these marks is generated."""


def experiments() -> list[str]:
    """Return the names of all experiments: the folders with a plot.py."""
    return sorted(path.parent.name for path in HERE.glob("*/plot.py"))


def read_findings(name: str) -> dict[str, Any]:
    """Return the published content of an experiment: its findings, number of runs and seconds.

    Raises FileNotFoundError if nothing has been published.
    """
    content: dict[str, Any] = json.loads((HERE / name / "findings.json").read_text(encoding="utf-8"))
    return content


def write_findings(name: str, content: Mapping[str, Any]) -> None:
    """Write findings.json and the table in the README of an experiment."""
    folder = HERE / name
    (folder / "findings.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_block(folder / "README.md", block(name, content))


def block(name: str, content: Mapping[str, Any]) -> str:
    """Return the generated part of an experiment's README."""
    findings = [Finding(**one) for one in content["findings"]]
    return (
        f"{BEGIN}\n{table(findings)}\n\nWritten by `make findings ARGS={name}`. Cost: {content['runs']:,} runs, "
        f"{content['seconds']:.0f} s of one core.\n{END}"
    )


def overview(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the generated part of experiments/README.md: one line per experiment."""
    from nnlab.cli.presets import question

    lines = [
        "| experiment | question | a finding | value | statistic [interval] | of | cost |",
        "| --- | --- | --- | ---: | --- | --- | --- |",
    ]
    for name, content in contents.items():
        first = Finding(**content["findings"][0])
        cost = f"{content['runs']:,} runs, {content['seconds']:.0f} s"
        cells = [f"[{name}]({name}/README.md)", question(name), first.what, first.cell, first.kind, first.n, cost]
        lines.append(f"| {' | '.join(cells)} |")
    total = sum(content["seconds"] for content in contents.values())
    runs = sum(content["runs"] for content in contents.values())
    return f"{BEGIN}\n" + "\n".join(lines) + f"\n\nAll: {runs:,} runs, {total:.0f} s of one core.\n{END}"


def unmarked(names: Iterable[str]) -> list[str]:
    """Return the experiments whose README is missing or lacks the marks."""
    readmes = {name: HERE / name / "README.md" for name in names}
    texts = {name: path.read_text(encoding="utf-8") if path.is_file() else "" for name, path in readmes.items()}
    return [name for name, text in texts.items() if not -1 < text.find(BEGIN) < text.find(END)]


def write_block(path: Path, text: str) -> None:
    """Replace the generated part of a README."""
    before = path.read_text(encoding="utf-8")
    start, stop = before.index(BEGIN), before.index(END) + len(END)
    path.write_text(before[:start] + text + before[stop:], encoding="utf-8")
