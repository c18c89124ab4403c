"""The run folder on disk: the truth about a run, whatever happens to the tracking server.

    runs/<experiment>/<fingerprint>/
        config.yaml         what was asked, every default written out
        history.parquet     what the probes saw: iteration, layer, quantity, value
        profiles.parquet    the same for each unit or bin; only with diagnostics.preset=full
        parameters.npz      W1, b1, ..., and the standardization of the data
        run.json            fingerprint, task, config, final metrics, verdict, events, references, versions and times,
                            and the checksums of the other files and of itself

A folder is written under a temporary name and renamed when it is whole: one that has its name is complete.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import yaml

from nnlab.config import ConfigError, flatten, from_dict
from nnlab.diagnostics.events import Event
from nnlab.diagnostics.function import References
from nnlab.diagnostics.verdict import Finding, Verdict
from nnlab.record.history import no_profiles
from nnlab.record.processes import is_running
from nnlab.record.run import Run
from nnlab.results import Results

__all__ = ["FILES", "DamagedRunError", "RunFolders", "read_facts", "read_run"]

FILES = ("config.yaml", "history.parquet", "parameters.npz", "run.json")
PROFILES = "profiles.parquet"
REPLACED, INCOMPLETE, PARTIAL = ".replaced-", ".incomplete-", ".partial-"
"""How the folders begin that were set aside, and those that somebody is writing."""
FORMAT = 2
KEYS = {
    **dict.fromkeys(("fingerprint", "task"), str),
    **dict.fromkeys(("config", "metrics", "references", "files", "facts"), dict),
    **dict.fromkeys(("verdict", "events"), list),
}
"""What run.json tells, and as what."""
SIGNATURE = ',\n "digest": "'
"""What stands between the text of run.json and the checksum of that text."""
T = TypeVar("T")
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast where libyaml is there
_STANDARDIZATION = ("x_mean", "x_scale", "y_mean", "y_scale")


class DamagedRunError(ConfigError):
    """A run folder cannot be read. The message names the file and what to do."""


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what run.json says. Raises DamagedRunError if it is not whole, or of another version of nnlab."""
    path = folder / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
        facts = json.loads(text)
        written = facts["format"]
        if written == FORMAT and _signed(text.rpartition(SIGNATURE)[0]) != text:
            _check(facts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from None
    if written != FORMAT:
        raise DamagedRunError(
            f"{folder} was written by another version of nnlab (format {written}, this one reads {FORMAT}): "
            "move it away"
        )
    assert isinstance(facts, dict)
    return facts


def _check(facts: dict[str, Any]) -> None:
    """Raise ValueError or TypeError unless run.json is what was written, by an earlier nnlab or in other lines.

    Such a file has a checksum of what it says instead of one of its text, or none.
    """
    silent = [name for name in KEYS if name not in facts]
    if silent:
        raise ValueError(f"it says nothing of {', '.join(silent)}")
    if "digest" in facts and facts["digest"] != _digest(facts):
        raise ValueError("it is not what was written")
    for name, kind in KEYS.items():
        if not isinstance(facts[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    silent = [name for name in FILES if name not in facts["files"] and name != "run.json"]
    if silent:
        raise ValueError(f"it says nothing of {', '.join(silent)}")
    if not facts["verdict"]:
        raise ValueError("its verdict is empty")
    _verdict(facts)
    _references(facts)
    _numbers(facts["metrics"])


def _verdict(facts: dict[str, Any]) -> Verdict:
    return Verdict(
        tuple(Finding(**finding) for finding in facts["verdict"]),
        tuple(Event(**event) for event in facts["events"]),
        facts.get("warning", ""),
    )


def _references(facts: dict[str, Any]) -> References:
    return References(**_numbers(facts["references"]))


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def read_run(folder: Path) -> Run:
    """Return the run of a folder. Raises DamagedRunError if its files are not what was written."""
    facts = read_facts(folder)
    for name, problem in _changed(folder, facts):
        raise _damaged(folder / name, ValueError(problem))
    with np.load(folder / "parameters.npz", allow_pickle=False) as arrays:
        numbers = dict(arrays)
    return Run(
        config=from_dict(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))),
        task=facts["task"],
        history=pd.read_parquet(folder / "history.parquet"),
        profiles=pd.read_parquet(folder / PROFILES) if PROFILES in facts["files"] else no_profiles(),
        parameters={name: value for name, value in numbers.items() if name not in _STANDARDIZATION},
        standardization={name: numbers[name] for name in _STANDARDIZATION},
        verdict=_verdict(facts),
        references=_references(facts),
        fingerprint=facts["fingerprint"],
        facts=facts["facts"],
    )


def _damaged(path: Path, error: Exception) -> DamagedRunError:
    return DamagedRunError(
        f"{path} is damaged ({type(error).__name__}: {error}): move its folder away, and the same sweep makes the run "
        "anew"
    )


class RunFolders:
    """The run folders of one experiment below a results folder."""

    def __init__(self, results: Results, experiment: str) -> None:
        self.folder = results.runs(experiment)

    def create(self) -> None:
        """Make the folder, or say clearly why that cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            self._restore()
        except OSError as error:
            raise ConfigError(
                f"results_dir must be a folder that can be written to, got {str(self.folder)!r}: {error.strerror}"
            ) from None

    def _restore(self) -> None:
        """Put back runs that were set aside for others which then did not come: their writer was killed between."""
        aside = sorted(self.folder.glob(f"{REPLACED}*"))
        if not aside:
            return
        with self._swapping():
            for folder in aside:
                fingerprint = _fingerprint(folder)
                if fingerprint not in self and (folder / "run.json").is_file():
                    folder.rename(self.path(fingerprint))

    @contextlib.contextmanager
    def _swapping(self) -> Iterator[None]:
        """Let one writer at a time put a run in its place: between two renames the place of a replaced one is empty."""
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def path(self, fingerprint: str) -> Path:
        """Return where a run is, or would be."""
        return self.folder / fingerprint

    def __contains__(self, fingerprint: str) -> bool:
        return (self.path(fingerprint) / "run.json").is_file()

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of all complete runs, sorted, after putting back those that were set aside."""
        if not self.folder.is_dir():
            return []
        with contextlib.suppress(OSError):  # where nothing can be written, they stay where they are
            self._restore()
        return sorted(path.parent.name for path in self.folder.glob("[!.]*/run.json"))

    def write(self, run: Run, *, replace: bool = False) -> Path:
        """Write one run, whole or not at all; return its folder.

        A run that is there already is left alone, or set aside with `replace`. A folder of that name that is not a
        whole run, which somebody else must have left, is set aside.
        """
        final = self.path(run.fingerprint)
        if run.fingerprint in self and not replace:
            return final
        partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{os.getpid()}-", dir=self.folder))
        try:
            config = yaml.dump(dataclasses.asdict(run.config), Dumper=_DUMPER, sort_keys=False)
            (partial / "config.yaml").write_text(config, encoding="utf-8")
            run.history.to_parquet(partial / "history.parquet", index=False)
            if len(run.profiles):
                run.profiles.to_parquet(partial / PROFILES, index=False)
            np.savez(partial / "parameters.npz", **run.parameters, **run.standardization)  # type: ignore[arg-type]
            checksums = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
            (partial / "run.json").write_text(_json(run, checksums), encoding="utf-8")
            for path in partial.iterdir():
                _sync(path)
            _sync(partial)
            with self._swapping():
                if replace or run.fingerprint not in self:  # else another process wrote the same run first
                    self._set_aside(run.fingerprint)
                    partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _sync(self.folder)
        return final

    def _set_aside(self, fingerprint: str) -> None:
        final = self.path(fingerprint)
        if final.is_dir() and any(final.iterdir()):
            prefix = f"{REPLACED if fingerprint in self else INCOMPLETE}{fingerprint}-"
            final.rename(tempfile.mkdtemp(prefix=prefix, dir=self.folder))

    def read(self, fingerprint: str) -> Run:
        """Return one run as it was written.

        Raises FileNotFoundError if it is not there, DamagedRunError if its files are not what was written, or the
        folder holds another run than it is named after.
        """

        def read(folder: Path) -> Run:
            run = read_run(folder)
            _check_name(folder, run.fingerprint)
            return run

        return self._looked_at(fingerprint, read)

    def facts(self, fingerprint: str) -> dict[str, Any]:
        """Return what run.json says of one run. Raises what `read` does, but looks at no other file."""

        def read(folder: Path) -> dict[str, Any]:
            facts = read_facts(folder)
            _check_name(folder, facts["fingerprint"])
            return facts

        return self._looked_at(fingerprint, read)

    def metrics(self, fingerprint: str) -> dict[str, float]:
        """Return the final metrics of one run. Raises what `facts` does."""
        return _numbers(self.facts(fingerprint)["metrics"])

    def _looked_at(self, fingerprint: str, look: Callable[[Path], T]) -> T:
        """Return what a reader makes of a folder. One that fails looks again while nobody can replace the run: between
        two of its files it may have become another."""
        folder = self.path(fingerprint)
        try:
            return look(folder)
        except (DamagedRunError, FileNotFoundError):
            with self._still():
                if not folder.is_dir():
                    raise FileNotFoundError(f"{folder} is not there") from None
                return look(folder)

    @contextlib.contextmanager
    def _still(self) -> Iterator[None]:
        with contextlib.ExitStack() as lock:
            with contextlib.suppress(OSError):  # where nothing can be written, nothing is replaced
                lock.enter_context(self._swapping())
            yield

    def problems(self) -> Iterator[tuple[Path, str]]:
        """Yield every run folder that is not what was written, with what is wrong, and what killed writers left."""
        if not self.folder.is_dir():
            return
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            if folder.name.startswith("."):
                if why := self._why_hidden(folder):
                    yield folder, why
                continue
            if found := list(_why_damaged(folder)):
                with self._still():  # it may just have been replaced
                    found = list(_why_damaged(folder)) if folder.is_dir() else []
            yield from ((folder, problem) for problem in found)

    def _why_hidden(self, folder: Path) -> str:
        """Return why a folder is there that no reader sees; nothing if somebody is writing it."""
        if folder.name.startswith(REPLACED):
            if _fingerprint(folder) in self:
                return "replaced by launcher.force=true: it can be deleted"
            return "set aside for a run that did not come: the next sweep of the experiment puts it back"
        writer = folder.name.removeprefix(PARTIAL).split("-")[0]
        if folder.name.startswith(PARTIAL) and writer.isdigit() and is_running(int(writer)):
            return ""
        return "left over from a write that was cut off: it can be deleted"

    def __iter__(self) -> Iterator[Run]:
        return (self.read(fingerprint) for fingerprint in self.fingerprints())


def _why_damaged(folder: Path) -> Iterator[str]:
    try:
        facts = read_facts(folder)
    except DamagedRunError as error:
        yield str(error)
        return
    if facts["fingerprint"] != folder.name:
        yield f"holds the run {facts['fingerprint']}"
    yield from (f"{name} {problem}" for name, problem in _changed(folder, facts))


def _check_name(folder: Path, fingerprint: str) -> None:
    """Raise DamagedRunError if a folder was copied or renamed: its run would count twice, or as another."""
    if fingerprint != folder.name:
        raise DamagedRunError(f"{folder} holds the run {fingerprint}: move it away")


def _fingerprint(folder: Path) -> str:
    """Return the fingerprint of a run that was set aside."""
    return folder.name.removeprefix(REPLACED).rpartition("-")[0]


def _changed(folder: Path, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every file that is not what was written, with what is wrong."""
    for name, checksum in facts["files"].items():
        try:
            if _checksum(folder / name) != checksum:
                yield name, "is not what was written"
        except (OSError, ValueError) as error:  # a name that no file can have
            yield name, f"cannot be read: {getattr(error, 'strerror', error)}"


def _signed(text: str) -> str:
    """Return the text of run.json with its own checksum at the end; hashing is all that it costs a reader."""
    return f'{text}{SIGNATURE}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n'


def _digest(facts: dict[str, Any]) -> str:
    """Return the checksum that earlier files have of what they say."""
    content = {name: value for name, value in facts.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _finite_or_text(values: dict[str, float]) -> dict[str, float | str]:
    """JSON has no inf and no NaN; they are written as text."""
    return {name: value if np.isfinite(value) else str(value) for name, value in values.items()}


def _json(run: Run, checksums: dict[str, str]) -> str:
    content = {
        "format": FORMAT,
        "fingerprint": run.fingerprint,
        "task": run.task,
        "sizes": run.sizes,
        "config": flatten(run.config),
        "metrics": _finite_or_text(run.metrics),
        "verdict": [finding._asdict() for finding in run.verdict.findings],
        "events": [event._asdict() for event in run.verdict.events],
        "warning": run.verdict.warning,
        "references": _finite_or_text(run.references._asdict()),
        "files": checksums,
        "facts": run.facts,
    }
    return _signed(json.dumps(content, indent=1, allow_nan=False).removesuffix("\n}"))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
