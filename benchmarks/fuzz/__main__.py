"""Give the readers of configs and data files thousands of each, wrong in every way we can think of (`make fuzz`).

Each case must run and leave a whole run, or be refused with one clear error that names the key and leave nothing.
Anything else is a failure: another exception, a warning, a crash, a case that hangs. A case follows from the seed and
its number alone; `--only file:77` tries a single one in the open.
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

from .cases import Case, prepare
from .workers import Result, results

WORDS = 20
"""One config in so many is typed as words of the command line: Hydra takes a fifth of a second to read them."""
SHOWN = 40
"""As many kinds of refusals, and cases that fail alike, are listed."""


def campaign(seed: int, configs: int, files: int) -> Iterator[Case]:
    """Yield configs and files in turn, as long as there are both."""
    for number in range(max(configs, files)):
        if number < configs:
            yield Case(seed, "words" if number % WORDS == 0 else "config", number)
        if number < files:
            yield Case(seed, "file", number)


def kind_of_refusal(message: str) -> str:
    """Return a message without what came: `model.depth must be an integer from N to N`."""
    lines = [line for line in message.splitlines() if not line.startswith("Error executing job")]
    legal = (lines or [message])[0].split(", got ")[0]
    unquoted = re.sub(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(, )?""", "...", legal)
    return re.sub(r"(?<![\w-])\d[\d.e+]*", "N", re.sub(r"(\.\.\.)+", "...", unquoted))[:110]


def report(found: Sequence[Result], seconds: float) -> None:
    """Print the figures, and each kind of failure with a case that repeats it."""
    for name, kinds in {"configs": ("config", "words"), "files": ("file",)}.items():
        some = [result for result in found if result.case.kind in kinds]
        counts = Counter(result.status for result in some)
        print(f"\n{len(some)} {name}: {counts['ran']} ran, {counts['refused']} refused, {counts['failed']} failed")
        refusals = Counter(kind_of_refusal(result.message) for result in some if result.status == "refused")
        for kind, count in refusals.most_common(SHOWN):
            print(f"  {count:6d} {kind}")
        others = sum(refusals.values()) - sum(count for _, count in refusals.most_common(SHOWN))
        print(f"  {others:6d} of {max(0, len(refusals) - SHOWN)} other kinds")
    slowest = max(found, key=lambda result: result.seconds)
    print(f"\nslowest: {slowest.case}, {slowest.status} after {slowest.seconds:.1f} s; all in {seconds:.0f} s")
    alike: dict[str, list[Result]] = {}
    for result in found:
        if result.status == "failed":
            # Where it was raised tells one cause from another better than what it said.
            places = re.findall(r"  File .*", result.message)
            alike.setdefault(places[-1] if places else result.message, []).append(result)
    for failures in alike.values():
        first = min(failures, key=lambda result: len(result.shown))
        print(f"\nFAILED {len(failures)} times: {' '.join(str(result.case) for result in failures[:SHOWN])}")
        print(f"{first.case} is {first.shown}\n{first.message}")
        print(f'to repeat: make fuzz ARGS="--seed {first.case.seed} --only {first.case}"')


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--configs", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", metavar="KIND:NUMBER", help="try a single case, in this process")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # half of a surrogate pair is shown too
    with tempfile.TemporaryDirectory() as name:
        if options.only:
            kind, _, number = options.only.partition(":")
            warnings.simplefilter("error")
            shown, run = prepare(Case(options.seed, kind, int(number)), Path(name))
            print(shown, flush=True)
            print(run())
            return
        started = time.monotonic()
        found: list[Result] = []
        cases = campaign(options.seed, options.configs, options.files)
        for result in results(cases, options.jobs, Path(name)):
            found.append(result)
            if len(found) % 1_000 == 0:
                failed = sum(result.status == "failed" for result in found)
                print(f"{len(found)} cases, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    report(found, time.monotonic() - started)
    sys.exit(any(result.status == "failed" for result in found))


if __name__ == "__main__":
    main()
