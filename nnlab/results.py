"""The results folder: every path below it, and how a relative path is resolved."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nnlab.config import SWEEPS, ConfigError

__all__ = ["Results", "checkout", "conf_folder"]

_PACKAGE = Path(__file__).resolve().parent


@cache
def checkout() -> Path | None:
    """Return the root of nnlab's source tree, or None if nnlab was installed from a wheel.

    The presets decide: a wheel has them as `nnlab/conf`, a source tree as `conf` beside the package and its own
    pyproject.toml. Any other `conf` beside the package belongs to the user's project.
    """
    root = _PACKAGE.parent
    project = root / "pyproject.toml"
    if (_PACKAGE / "conf").is_dir() or not (root / "conf" / "config.yaml").is_file() or not project.is_file():
        return None
    return root if 'name = "nnlab"' in project.read_text(encoding="utf-8") else None


def conf_folder() -> Path:
    """Return the folder of nnlab's own presets."""
    root = checkout()
    return _PACKAGE / "conf" if root is None else root / "conf"


@dataclass(frozen=True)
class Results:
    """A results folder and every path below it.

    runs/EXPERIMENT/FINGERPRINT/    run folders: the truth
    sweeps/SWEEP/                   what was launched and how it ended
    reports/                        reports and films
    references/                     the scores of reference models on each data set
    why/EXPERIMENT/FINGERPRINT.json what made a network learn; the fingerprint is of the run with its first seed
    tracking/                       ledgers: which runs MLflow has
    mlflow.db, artifacts/           MLflow's own database and files
    hydra/                          Hydra's logs
    """

    folder: Path

    @classmethod
    def at(cls, results_dir: str) -> "Results":
        """Return the results folder of a config, as an absolute path.

        A relative one starts at the root of nnlab's source tree, or for an installed nnlab at the working folder. In a
        source tree, notebooks and Hydra jobs run in other folders, and each would otherwise have its own results.
        Raises ConfigError for the home of a user who does not exist.
        """
        try:
            folder = Path(results_dir).expanduser()
        except RuntimeError as error:
            raise ConfigError(f"results_dir must be a folder, got {results_dir!r}: {error}") from None
        return cls((checkout() or Path.cwd()) / folder)

    def experiments(self) -> list[str]:
        """Return the experiments that have run folders, sorted; other names, such as .Trash, are not nnlab's."""
        folder = self.folder / "runs"
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted(name for name in names if not name.startswith(".") and name != SWEEPS)

    def runs(self, experiment: str) -> Path:
        """Return the folder of an experiment's run folders."""
        return self.folder / "runs" / experiment

    @property
    def sweeps(self) -> Path:
        """The folder of the sweeps."""
        return self.folder / "sweeps"

    def report(self, name: str) -> Path:
        """Return the path of a report or film, given its file name."""
        return self.folder / "reports" / name

    def explanations(self, experiment: str) -> Path:
        """Return the folder of the files that say what made the networks of an experiment learn."""
        return self.folder / "why" / experiment

    def explanation(self, experiment: str, fingerprint: str) -> Path:
        """Return the file that says what made a network learn, given the fingerprint of its first run."""
        return self.explanations(experiment) / f"{fingerprint}.json"

    def references(self, digest: str) -> Path:
        """Return the file with the scores of reference models on the data of this digest."""
        return self.folder / "references" / f"{digest}.json"

    @property
    def ledgers(self) -> Path:
        """The folder of the ledgers."""
        return self.folder / "tracking"

    @property
    def database(self) -> Path:
        """MLflow's SQLite file."""
        return self.folder / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """MLflow's folder of artifacts."""
        return self.folder / "artifacts"
