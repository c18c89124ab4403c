"""Tests of the choice of keys for panels, colours and axes."""

import pandas as pd

from nnlab.findings.axes import curve_keys, map_keys


def test_curves_pool_only_keys_with_too_many_values() -> None:
    rows = [
        (scale, activation, size, seed)
        for scale in (0.0, 1.0)
        for activation in "ab"
        for size in range(7)
        for seed in "01"
    ]
    runs = pd.DataFrame(rows, columns=["init.scale", "model.activation", "model.hidden_size", "seed"])
    keys = ["init.scale", "model.activation", "model.hidden_size"]
    assert curve_keys(runs, ["seed", *keys]) == ("init.scale", "model.activation", "model.hidden_size")
    assert curve_keys(runs, ["seed", *keys[1:]]) == (None, "model.activation", "model.hidden_size")
    assert curve_keys(runs, ["seed", *keys[2:]]) == (None, None, "model.hidden_size")
    assert curve_keys(runs, ["seed"]) == (None, None, "seed")
    many = runs.assign(**{"model.hidden_size": range(len(runs))})
    assert curve_keys(many, ["seed", *keys]) == (None, "init.scale", "model.activation")  # pooled: too many colours


def test_maps_have_panels_only_for_a_third_key_with_few_values() -> None:
    rows = [(scale, size, seed) for scale in (0.0, 1.0) for size in range(7) for seed in "01"]
    runs = pd.DataFrame(rows, columns=["init.scale", "model.hidden_size", "seed"]).assign(depth=range(len(rows)))
    keys = ["seed", "init.scale", "model.hidden_size"]
    assert map_keys(runs, [*keys, "depth"]) == ("init.scale", "model.hidden_size", "depth")
    assert map_keys(runs, keys) == (None, "init.scale", "model.hidden_size")
    assert map_keys(runs, keys[:2]) == (None, "init.scale", "init.scale")
    assert map_keys(runs, ["seed"]) == (None, "seed", "seed")
    many = runs.assign(**{"init.scale": range(len(runs))}, size=range(len(runs)))
    assert map_keys(many, ["init.scale", "depth", "size"]).panel is None
