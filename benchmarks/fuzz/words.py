"""Wrong command lines: words that touch Hydra's grammar or a shell's."""

import random
import re
from pathlib import Path

from benchmarks.fuzz.configs import KEPT, KEYS, TEXTS, legal

__all__ = ["words_case"]

# fmt: off
SHELL = (
    "$(touch x)", "`touch x`", "; touch x", "| tee x", "> x", "&& touch x", "'", '"', "\\", "'a", '"a', "a'b", "\\'",
    "#x", "!x", "*",
)
INTERPOLATIONS = (
    "${seed}", "${nope}", "${", "${}", "$", "${oc.env:NOPE}", "${oc.env:HOME}", "${oc.decode:'[1'}",
    "${oc.create:{a:1}}", "${now:%Y}", "${hydra:runtime.cwd}", "${model}", "${data.m}", "${model.hidden_size}",
    "${model.layers}", "${nope:1}", "${${seed}}", "a${seed}b", "${results_dir}", "${oc.dict.keys:model}", "${.depth}",
    "${..seed}", "???", "\\${seed}",
)
GRAMMAR = (
    "[", "]", "{", "}", "[1,", "[1,,2]", "{a:", "{a:1}", "[[[[1]]]]", "[" * 60 + "]" * 60, "(", ")", "a,b", "1,", ",",
    "=", "==3", "a=b", "@", "a b", "a\tb", "a\nb", "range(3)", "range(", "choice(1,2)", "choice()", "glob(*)",
    "interval(0,1)", "sort(2,1)", "int(1.5)", "int(x)", "float(nan)", "str(1)", "bool(3)", "json_str('{}')",
    "extend_list(1)", "shuffle(1,2)", "tag(a,1)", "~", "?", "/", "1" * 5_000, "-" * 50, "x" * 5_000, "1e400", "0x10",
    "1_000", "１２", "\udcff", "&x", "%s", "<<", "|", "!!int 3", "- 1",
)
JUNK = (
    "", " ", "=", "=3", "seed", "seed=", "seed==3", "seed:3", "seed: 3", "+", "~", "++", "+=3", "~=", "~seed", "~nope",
    "~data.noise", "+seed=3", "++seed=5", "++nope=1", "+nope=1", "+model.nope=1", "seed.x=1", "seed[0]=1",
    "model.layers[0]=3", "model.layers.0=3", ".seed=1", "seed.=1", "model..depth=2", "model/depth=2",
    "data@model=moons", "data@=moons", "@data=moons", "data@x@y=moons", "data=[moons,xor]", "+data=moons",
    "~data=flower", "~data", "~model", "--nonsense", "é=1", "'seed'=3", '"seed=3"', "seed=3 data.m=5",
    "seed=3;data.m=4", "{seed: 3}", "[seed]", "//", "\udcff=1", "a" * 300, "model={depth: 2}", "model={nope: 2}",
    "+model={nope: 2}", "data=null", "init=", "init=3", "training=nope", "model=deep,nope", "diagnostics=[full]",
    "launcher=nope", "experiment=nope",
)
# fmt: on


def words_case(chance: random.Random, folder: Path) -> tuple[list[str], list[str]]:
    """Return the words after `nnlab`, and names; a rejection must mention one of them."""
    results = chance.choice(("x", "x", "x", "a b", "é💥", "$(touch x)", "it's", "x" * 256, "\udcff"))
    words = [
        f"results_dir={_quoted(f'{folder}/out/{results}')}",
        *(
            "tracking.enabled=false",
            "training.iterations=3",
            "data.m=20",
            "data.test_m=10",
            "diagnostics.checkpoints=4",
        ),
    ]
    suspects = ["results_dir"] if results == "\udcff" or len(results) > 255 else []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        word = _word(chance, folder)
        words.append(word)
        suspects += re.findall(r"\w+|\S", word) or [word]
    return ["sweep" if chance.random() < 0.2 else "run", *words], suspects


def _word(chance: random.Random, folder: Path) -> str:
    if chance.random() < 0.25:
        return chance.choice((*JUNK, *SHELL, *INTERPOLATIONS))
    # With tracking a case would create a database, which takes seconds; with an address it would wait for a scheduler.
    key = chance.choice([key for key in KEYS if key not in (*KEPT, "tracking.enabled", "launcher.address")])
    if chance.random() < 0.4 and key != "launcher.n_jobs":
        value = legal(chance, folder).get(key)
        return f"{key}={'null' if value is None else value}"
    text = chance.choice(chance.choice((SHELL, INTERPOLATIONS, GRAMMAR, [text for text in TEXTS if "\0" not in text])))
    return f"{key}={_quoted(text) if chance.random() < 0.4 else text}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
