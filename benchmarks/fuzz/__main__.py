"""Try thousands of wrong configs, command lines and data files (`python -m benchmarks.fuzz`).

Each case must either run and leave a valid run folder, or be rejected with one clear error that names the key, and
leave nothing. Anything else is a failure: another exception, a warning, a crash, a hang. A case is determined by the
seed, its kind and its number; `--only file:77` tries a single case in this process.
"""

import argparse
import os
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.fuzz.cases import Case, prepare
from benchmarks.fuzz.workers import Result, results

WORDS = 20
"""One config in WORDS is given as a command line: Hydra takes a fifth of a second to compose it."""
SHOWN = 40
"""The number of kinds of rejections, and of cases that fail alike, that are listed."""


def campaign(seed: int, configs: int, files: int) -> Iterator[Case]:
    """Yield configs and files in turn, then the rest of the longer kind."""
    for number in range(max(configs, files)):
        if number < configs:
            yield Case(seed, "words" if number % WORDS == 0 else "config", number)
        if number < files:
            yield Case(seed, "file", number)


def kind_of_rejection(message: str) -> str:
    """Return a message without the values in it: `model.depth must be an integer from N to N`."""
    lines = [line for line in message.splitlines() if not line.startswith("Error executing job")]
    legal = (lines or [message])[0].split(", got ")[0]
    unquoted = re.sub(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(, )?""", "...", legal)
    return re.sub(r"(?<![\w-])\d[\d.e+]*", "N", re.sub(r"(\.\.\.)+", "...", unquoted))[:110]


def report(outcomes: Sequence[Result], seconds: float) -> None:
    """Print the counts, and each kind of failure with a command that repeats it."""
    for name, kinds in {"configs": ("config", "words"), "files": ("file",)}.items():
        some = [result for result in outcomes if result.case.kind in kinds]
        counts = Counter(result.status for result in some)
        print(f"\n{len(some)} {name}: {counts['ran']} ran, {counts['rejected']} rejected, {counts['failed']} failed")
        rejections = Counter(kind_of_rejection(result.message) for result in some if result.status == "rejected")
        for kind, count in rejections.most_common(SHOWN):
            print(f"  {count:6d} {kind}")
        others = rejections.total() - sum(count for _, count in rejections.most_common(SHOWN))
        print(f"  {others:6d} of {max(0, len(rejections) - SHOWN)} other kinds")
    slowest = max(outcomes, key=lambda result: result.seconds)
    print(f"\nslowest: {slowest.case}, {slowest.status} after {slowest.seconds:.1f} s; all in {seconds:.0f} s")
    _report_failures([result for result in outcomes if result.status == "failed"])


def _report_failures(failed: Sequence[Result]) -> None:
    alike: dict[str, list[Result]] = {}
    for result in failed:
        # The place that raised separates causes better than the message.
        places = re.findall(r"  File .*", result.message)
        alike.setdefault(places[-1] if places else result.message, []).append(result)
    for failures in alike.values():
        first = min(failures, key=lambda result: len(result.shown))
        print(f"\nFAILED {len(failures)} times: {' '.join(str(result.case) for result in failures[:SHOWN])}")
        print(f"{first.case} is {first.shown}\n{first.message}")
        print(f"to repeat: python -m benchmarks.fuzz --seed {first.case.seed} --only {first.case}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", metavar="KIND:NUMBER", help="try a single case, in this process")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # cases print unpaired surrogates
    with tempfile.TemporaryDirectory() as name:
        if options.only:
            _try_one(options.seed, options.only, Path(name))
            return
        started = time.monotonic()
        outcomes: list[Result] = []
        cases = campaign(options.seed, options.configs, options.files)
        for result in results(cases, options.jobs, Path(name)):
            outcomes.append(result)
            if len(outcomes) % 1_000 == 0:
                failed = sum(result.status == "failed" for result in outcomes)
                print(f"{len(outcomes)} cases, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    report(outcomes, time.monotonic() - started)
    sys.exit(any(result.status == "failed" for result in outcomes))


def _try_one(seed: int, only: str, folder: Path) -> None:
    kind, _, number = only.partition(":")
    warnings.simplefilter("error")
    shown, run = prepare(Case(seed, kind, int(number)), folder)
    print(shown, flush=True)
    print(run())


if __name__ == "__main__":
    main()
