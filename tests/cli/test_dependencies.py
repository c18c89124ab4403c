"""Installed versions are locked, imports are declared, and the project holds nothing else."""

import ast
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    *(".ci", ".gitattributes", ".gitignore", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE"),
    *("Makefile", "README.md", "pyproject.toml", "requirements.lock"),
    *("benchmarks", "conf", "docs", "experiments", "hydra_plugins", "nnlab", "notebooks", "tests"),
}
PEERS = {"jax", "torch"}
"""Imported only by the benchmarks, where they are installed."""


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    applying = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in applying}


def test_installed_versions_are_the_locked_ones() -> None:
    different = {}
    for name, wanted in locked().items():
        try:
            if version(name) != wanted:
                different[name] = f"{version(name)} instead of {wanted}"
        except PackageNotFoundError:  # belongs to an extra that is not installed
            continue
    assert not different


def test_the_top_level_has_only_what_belongs_there() -> None:
    """A sweep whose hydra.sweep.dir is empty writes into the working folder, and a careless commit adds it."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"git does not say what belongs to the project: {done.stderr}")
    assert {line.split("/")[0] for line in done.stdout.splitlines()} == TOP


def test_the_lock_names_versions_and_no_hosts() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert all(" @ " not in line for line in text.splitlines())


def test_everything_imported_is_declared() -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in requires("nnlab") or []}
    found = packages_distributions()
    undeclared = set()
    for folder in ("nnlab", "hydra_plugins", "experiments", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in imported(path) - set(sys.stdlib_module_names) - PEERS:
                owners = {canonicalize_name(owner) for owner in found.get(name, [])}
                if owners and not owners & (declared | {"nnlab"}):
                    undeclared.add(name)
    assert not undeclared


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in names}
