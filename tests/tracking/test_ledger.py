"""The ledger on its own: claims, damaged files and full disks."""

import errno
from pathlib import Path
from typing import Any

import pytest

from nnlab.results import Results
from nnlab.tracking.ledger import Ledger

URI = "http://127.0.0.1:1"


def test_only_one_of_two_processes_reclaims_a_run(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path), "small", URI)
    ledger.settle("f", "first")
    assert [ledger.reclaim("f", "first"), ledger.reclaim("f", "first")] == [True, False]


def test_a_damaged_file_of_the_ledger_is_an_abandoned_claim(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path), "small", URI)
    ledger.settle("f", "a run")
    (ledger.folder / "f").write_bytes(b"\xff\xfe")
    assert (ledger.settled(), ledger.abandoned(), ledger.run_id("f")) == (set(), ["f"], None)


def test_a_full_disk_leaves_no_partial_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(Results(tmp_path), "small", URI)
    ledger.settle("f", "first")

    def fail(self: Path, *_: Any, **__: Any) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    for claim in (lambda: ledger.claim("f"), lambda: ledger.reclaim("f", "first")):
        with pytest.raises(OSError, match="No space"):
            claim()
        assert {path.name for path in ledger.folder.iterdir()} - {".lock"} == {"f"}
    assert ledger.run_id("f") == "first"


def test_a_claim_is_abandoned_although_the_disk_is_too_full_to_record_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Results(tmp_path / "results"), "small", URI)
    (tmp_path / "link").symlink_to(tmp_path / "results")
    same = Ledger(Results(tmp_path / "link"), "small", URI)
    ledger.settle("g", "first")
    assert ledger.claim("f")
    assert ledger.reclaim("g", "first")
    assert ledger.abandoned() == same.abandoned() == []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
        ledger.abandon("f")
        ledger.abandon("g")
    assert sorted(ledger.abandoned()) == sorted(same.abandoned()) == ["f", "g"]
