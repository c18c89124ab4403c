"""The keys and presets in `--help` and in docs/configuration.md."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from nnlab.cli import configuration
from nnlab.cli.hydra_schema import register
from nnlab.config import KEYS, RunConfig, flatten, from_dict
from nnlab.config_field import sections

ROOT = Path(__file__).parents[2]
PRESETS = sorted(path for path in (ROOT / "conf").glob("*/*.yaml"))


@pytest.fixture
def help_text(monkeypatch: pytest.MonkeyPatch) -> str:
    """The template of `--help` as Hydra resolves it, in a terminal of 120 columns."""
    monkeypatch.setenv("COLUMNS", "120")
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", return_hydra_config=True)
        return str(cfg.hydra.help.template)


def test_the_page_in_docs_is_what_the_command_writes() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == configuration.page(), "run: python -m nnlab.cli.configuration"


def test_the_page_has_one_row_for_each_key_and_preset() -> None:
    cells = [line.split(" | ")[0] for line in configuration.page().splitlines()]
    assert [cells.count(f"| `{name}`") for name in KEYS] == [1] * len(KEYS)
    for preset in PRESETS:
        group, name = preset.parent.name, preset.stem
        cell = f"| [`{name}`](../conf/experiment/{name}.yaml)" if group == "experiment" else f"| `{group}={name}`"
        assert cells.count(cell) == 1, cell


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    blocks = configuration.page().split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.startswith("| ")]
    assert len(tables) == len(sections(RunConfig)) + 4
    assert all(row.count(" | ") == rows[0].count(" | ") for rows in tables for row in rows)


def test_every_experiment_begins_with_its_question() -> None:
    assert all(configuration.leading_comment(preset) for preset in (ROOT / "conf" / "experiment").glob("*.yaml"))


def test_the_command_writes_the_page_or_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(configuration, "checkout", lambda: tmp_path)
    monkeypatch.setattr(sys, "argv", ["configuration", "--print"])
    configuration.main()
    assert capsys.readouterr().out == configuration.page()
    assert list((tmp_path / "docs").iterdir()) == []
    monkeypatch.setattr(sys, "argv", ["configuration"])
    configuration.main()
    assert (tmp_path / "docs" / "configuration.md").read_bytes() == configuration.page().encode()


def test_outside_the_source_tree_the_command_suggests_to_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "checkout", lambda: None)
    monkeypatch.setattr(sys, "argv", ["configuration"])
    with pytest.raises(SystemExit, match="--print"):
        configuration.main()


def test_help_states_default_meaning_and_legal_values_of_every_key(help_text: str) -> None:
    words = " ".join(help_text.split())
    for key in KEYS.values():
        assert f" {key.name}={configuration.to_word(key.default)} {key.meaning} ({key.legal})" in words


def test_help_lists_every_preset_and_fits_120_columns(help_text: str) -> None:
    words = help_text.split()
    assert {preset.stem for preset in PRESETS} <= {word.rstrip(",") for word in words}
    assert "nnlab run" in help_text
    assert "nnlab sweep" in help_text
    assert max(map(len, help_text.splitlines())) <= 120


def test_hydra_accepts_the_dataclasses_as_schema() -> None:
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", ["model.layers=[3,2]", "data.m=50", "launcher.force=true"])
    config = from_dict({name: cfg[name] if name not in sections(RunConfig) else dict(cfg[name]) for name in cfg})
    changed = {"model.layers": [3, 2], "data.m": 50, "launcher.force": True}
    assert flatten(config) == flatten(RunConfig()) | changed


def test_listing_keys_imports_nothing_heavy() -> None:
    code = "import sys; from nnlab.cli.configuration import key_list; key_list(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "mlflow", "matplotlib", "hydra"} & set(modules)
