"""What networks cost: measured before they train, limits kept, energy where there are counters, and a front in the report."""

import numpy as np
import pytest

import tuneful
from tuneful.core.errors import RecipeError
from tuneful.core.study import Study
from tuneful.pipeline import costing
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.costing import aimed, counters, measured, median
from tuneful.pipeline.train import Run

SETTINGS = {"model": "mlp", "depth": 1, "epochs": 3, "batch_size": 64, "threads": 1, "plan": "off", "confirm": 0}


def blobs():
    dice = np.random.default_rng(0)
    y = dice.integers(0, 3, 300)
    return (dice.normal(size=(300, 6)) + 2 * np.eye(6)[y]).astype("float32"), y


def test_a_search_with_limits_never_trains_a_network_that_breaks_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    result = tuneful.tune(blobs(), width="4..256", lr="1e-3..1e-1", budget="14 trials", objectives="size", where="size<0.003MB", name="s",
                          **SETTINGS)  # fmt: skip
    trials = Study.open(tmp_path / "s").trials()
    stopped = [t for t in trials if t.state == "stopped"]
    assert stopped
    assert all(t.ended_because.startswith("its size is ") and not t.curve for t in stopped)
    kept = [t for t in trials if t.curve]
    assert all(t.tags["costs"]["size"]["value"] < 0.003 for t in kept)
    assert result.trial.tags["costs"]["size"]["value"] < 0.003
    # one hidden layer has 6 w + w + 3 w + 3 numbers, and the normalization of 6 inputs 12 more, 4 bytes each
    one = kept[0]
    assert one.tags["costs"]["size"]["value"] * 1e6 == pytest.approx(4 * (10 * one.dials["model.width"] + 15))
    report = (tmp_path / "s" / "report.html").read_text(encoding="utf-8")
    assert "What a better accuracy costs" in report
    assert "broke a limit and did not begin to train" in report


def test_latency_is_a_median_with_its_interval(flowers):
    recipe, _ = from_mapping({"model": "mlp", "epochs": 1, "threads": 1}, flowers)
    found = measured(Run(flowers, recipe, device="cpu"), ("latency", "size"))
    assert found["latency"].unit == "ms"
    assert 0 < found["latency"].low <= found["latency"].value <= found["latency"].high < 1000
    assert found["latency"].n >= costing.FEWEST
    held = [median(np.random.default_rng(k).exponential(size=41), "ms", "") for k in range(400)]
    assert 0.93 < np.mean([one.low <= np.log(2) <= one.high for one in held]) < 0.99


def test_energy_is_asked_for_only_where_it_can_be_read(flowers, tmp_path, monkeypatch):
    place = tmp_path / "powercap"
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        (place / name).mkdir(parents=True)
        (place / name / "energy_uj").write_text("5000000\n", encoding="ascii")
    (place / "intel-rapl:1" / "energy_uj").write_text("?", encoding="ascii")
    assert counters(place) == [place / "intel-rapl:0" / "energy_uj"]  # parts of a package are in it
    monkeypatch.setattr(costing, "COUNTERS", tmp_path / "none")
    with pytest.raises(RecipeError, match="energy cannot be measured here: no counter of the processor"):
        aimed(flowers, "accuracy,energy", ())


def test_mistakes_are_told(flowers):
    with pytest.raises(
        RecipeError, match="objectives names the metric auroc, and the task's is accuracy\n  hint: write metric=auroc"
    ):
        aimed(flowers, "auroc,size", ())
    with pytest.raises(RecipeError, match="which differs from run to run"):
        tuneful.tune(blobs(), lr="1e-3..1e-1", budget="4 trials", objectives="latency", deterministic=True, **SETTINGS)
