"""Drift: is the stated rate of false alarms held, and how soon is a shift found?

    quiet        200 runs of 4000 examples of four columns with a reference of 2000, in which nothing changes: the share of runs with an
                 alarm, beside the rate that was stated, for each way of watching
    shifts       one column shifts by 0.1 to 1 standard deviations (or becomes 1.5 times as wide) at example 2000: delay until the alarm
    elec2        electricity in New South Wales (Harries 1999): until row 17,424 nothing is known of Victoria's market, and its three columns are
                 constant. Quiet runs are rows before it, shuffled, since neighbours are alike; the same rows in their own order show what that
                 does to the promise. Delays are those of the rows from 17,424 on, in their order
    estimates    accuracy before labels: a logistic regression learned from the first rows, windows of 500 rows later; and digits under noise
    peers        Evidently's preset for drift with its defaults, and river's ADWIN, PageHinkley and KSWIN with theirs, on the same quiet data

    python benchmarks/drift.py [--runs 200] [--peers ENV/bin/python] [PART ...]

Data: elec2_drift in $TUNEFUL_DATA, or beside the checkout.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import record
from scipy import stats

from tuneful.runtime.watch import drift, estimated, several
from tuneful.runtime.watch.adwin import Adwin
from tuneful.runtime.watch.betting import Betting
from tuneful.runtime.watch.page_hinkley import PageHinkley, excursions
from tuneful.runtime.watch.samples import Numbers

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
RATES = (0.01, 0.05, 0.2)  # false alarms in LENGTH examples
REFERENCE, LENGTH, CHANGE, WINDOW, COLUMNS = 2000, 4000, 2000, 200, 4
MARKET = 17_424  # the row at which Victoria's market opens
Floats = np.ndarray
Alarm = Callable[[Floats, Floats, int], dict[float, int | None]]


def betting(reference: Floats, scores: Floats, columns: int) -> dict[float, int | None]:
    """The first alarm of one column at each rate; stakes are linear, so one way serves them all."""
    level = Betting(reference, seed=len(scores)).feed(scores, np.full(len(scores), 1e-9))[0] / 1e-9
    return {rate: _first(level * rate / LENGTH / columns >= 1) for rate in RATES}


def adwin(reference: Floats, scores: Floats, columns: int) -> dict[float, int | None]:
    order = np.sort(reference)

    def share(values: Floats) -> Floats:
        return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2 / len(order)

    found: dict[float, int | None] = {}
    for rate in RATES:
        watch, stake = Adwin(1 / 12), rate / LENGTH / columns
        for one in share(reference).tolist():
            watch.step(one, 0.0)
        found[rate] = next((at for at, one in enumerate(share(scores).tolist()) if watch.step(one, stake)), None)
    return found


def page_hinkley(reference: Floats, scores: Floats, columns: int) -> dict[float, int | None]:
    middle, spread, least = excursions(reference, LENGTH, 0.25)
    watch = PageHinkley(reference[:10], 0.5, 10)
    watch.__dict__.update(_mean=float(reference.mean()), _std=float(reference.std()) or 1.0)
    found: dict[float, int | None] = {}
    for rate in RATES:
        watch.__dict__.update(_up=0.0, _down=0.0)
        watch.threshold = max(middle - spread * math.log(-math.log1p(-rate / columns)), least)
        found[rate] = next((at for at, one in enumerate(scores.tolist()) if watch.step(one)), None)
    return found


def windows(reference: Floats, scores: Floats, columns: int) -> dict[float, int | None]:
    """2 of 5 windows of one column; its p is multiplied by the number of columns (Holm's largest)."""
    before = Numbers.of(reference)
    p = [
        columns * drift.by_test("auto", before, Numbers.of(scores[at : at + WINDOW]), 999).p
        for at in range(0, len(scores) - WINDOW + 1, WINDOW)
    ]
    found: dict[float, int | None] = {}
    for rate in RATES:
        level = several.level(rate, LENGTH / WINDOW, 2)
        told = several.alarms([one <= level for one in p], 2, 5)
        found[rate] = told[0] * WINDOW + WINDOW - 1 if told else None
    return found


WAYS: dict[str, Alarm] = {"betting": betting, "windows": windows, "adwin": adwin, "page_hinkley": page_hinkley}


def _first(hits: Floats) -> int | None:
    return int(hits.argmax()) if hits.any() else None


def drawn(dice: np.random.Generator, count: int) -> list[Floats]:
    """Four columns of different laws, one of them rounded."""
    return [
        dice.normal(size=count),
        dice.exponential(size=count),
        np.round(dice.normal(size=count), 1),
        dice.poisson(3, count).astype(float),
    ]


def share(count: int, of: int) -> dict[str, Any]:
    """A share with its exact interval."""
    found = stats.binomtest(count, of).proportion_ci(method="exact")
    return {
        "alarms": count,
        "runs": of,
        "share": round(count / of, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
    }


def quiet(runs: int, source: Callable[[int], list[tuple[Floats, Floats]]]) -> dict[str, Any]:
    """The share of quiet runs with an alarm of any column, at each stated rate. source: (reference, stream) of each column of a run."""
    count = {way: dict.fromkeys(RATES, 0) for way in WAYS}
    for run in range(runs):
        pairs = source(run)
        for way, alarm in WAYS.items():
            each = [alarm(reference, stream, len(pairs)) for reference, stream in pairs]
            for rate in RATES:
                count[way][rate] += any(one[rate] is not None for one in each)
    told: dict[str, Any] = {}
    for way, each in count.items():
        told[way] = {
            str(rate): {**share(n, runs), "held": bool(stats.binomtest(n, runs, rate, "greater").pvalue > 0.05)}
            for rate, n in each.items()
        }
    return told


def delays(runs: int, source: Callable[[int], tuple[Floats, Floats]], change: int, columns: int) -> dict[str, Any]:
    """From the change to the alarm of the column that changes: median delay, and the share of runs in which it is found at all; runs with an
    alarm before the change are left out, and counted."""
    told: dict[str, dict[float, list[float]]] = {way: {rate: [] for rate in RATES} for way in WAYS}
    early = {way: dict.fromkeys(RATES, 0) for way in WAYS}
    for run in range(runs):
        reference, stream = source(run)
        for way, alarm in WAYS.items():
            for rate, at in alarm(reference, stream, columns).items():
                if at is not None and at < change:
                    early[way][rate] += 1
                else:
                    told[way][rate].append(math.inf if at is None else at - change + 1)
    return {
        way: {str(rate): {"median": _finite(statistics.median(found)) if found else None, "found": round(float(np.mean(np.isfinite(found))), 3) if found else None,
                          "early": early[way][rate]} for rate, found in each.items()}
        for way, each in told.items()
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def synthetic(runs: int) -> None:
    def pairs(run: int) -> list[tuple[Floats, Floats]]:
        dice = np.random.default_rng(run)
        return list(zip(drawn(dice, REFERENCE), drawn(dice, LENGTH), strict=True))

    record(
        "drift", "the stated rate of false alarms is held over quiet runs", {"columns": COLUMNS, "ways": quiet(runs, pairs)}
    )
    for name, moved in {
        "0.1 sigma": lambda z: z + 0.1, "0.25 sigma": lambda z: z + 0.25, "0.5 sigma": lambda z: z + 0.5, "1 sigma": lambda z: z + 1, "1.5 times as wide": lambda z: 1.5 * z,
    }.items():  # fmt: skip

        def shifted(run: int, moved: Callable[[Floats], Floats] = moved) -> tuple[Floats, Floats]:
            dice = np.random.default_rng(1000 + run)
            stream = dice.normal(size=LENGTH)
            stream[CHANGE:] = moved(stream[CHANGE:])
            return dice.normal(size=REFERENCE), stream

        record(
            "drift",
            f"delay until a shift is found: {name}",
            {"columns": COLUMNS, "ways": delays(max(20, runs // 4), shifted, CHANGE, COLUMNS)},
        )


def elec2() -> Floats:
    with gzip.open(DATA / "elec2_drift" / "elec.csv.gz") as file:
        return np.genfromtxt(file, delimiter=",", skip_header=1)


def electricity(runs: int) -> None:
    rows = elec2()
    names = {"nswprice": 1, "nswdemand": 2, "vicprice": 3, "vicdemand": 4, "transfer": 5}

    def shuffled(run: int, columns: list[int]) -> list[tuple[Floats, Floats]]:
        at = np.random.default_rng(run).permutation(MARKET)[: REFERENCE + LENGTH]
        return [(rows[at[:REFERENCE], c], rows[at[REFERENCE:], c]) for c in columns]

    record("drift", "elec2: the stated rate is held while the rows before the market opens are shuffled",
           {"columns": len(names), "ways": quiet(runs, lambda run: shuffled(run, list(names.values())))})  # fmt: skip
    told: dict[str, Any] = {}
    for name, column in names.items():

        def opening(run: int, column: int = column) -> tuple[Floats, Floats]:
            ((reference, stream),) = shuffled(run, [column])
            return reference, np.concatenate([stream[:CHANGE], rows[MARKET : MARKET + LENGTH - CHANGE, column]])

        told[name] = delays(max(10, runs // 10), opening, CHANGE, len(names))
    record("drift", "elec2: delay after the market opens, in the rows' own order", told)
    own: dict[str, Any] = {}
    for name in ("nswprice", "nswdemand"):
        begins = range(0, MARKET - REFERENCE - LENGTH, LENGTH)
        found = [{way: alarm(rows[at : at + REFERENCE, names[name]], rows[at + REFERENCE : at + REFERENCE + LENGTH, names[name]], 2) for way, alarm in WAYS.items()}
                 for at in begins]  # fmt: skip
        own[name] = {
            way: {
                "stretches": len(found),
                "with_alarm": {str(rate): sum(one[way][rate] is not None for one in found) for rate in RATES},
            }
            for way in WAYS
        }
    record("drift", "elec2: in their own order the rows before the market opens are not exchangeable", own)


def estimates(runs: int) -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = elec2()
    dice = np.random.default_rng(0)
    first = dice.permutation(8000)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        rows[first[:6000], :-1], rows[first[:6000], -1]
    )
    told = {"elec2": _off(model, (rows[first[6000:], :-1], rows[first[6000:], -1]),
                          [(rows[at : at + 500, :-1], rows[at : at + 500, -1]) for at in range(8000, len(rows) - 500, 500)])}  # fmt: skip
    x, y = load_digits(return_X_y=True)
    order = dice.permutation(len(x))
    digits = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x[order[:900]], y[order[:900]])
    test = order[1300:]
    noisy = [(x[test] + dice.normal(0, noise, x[test].shape), y[test]) for noise in np.linspace(0, 8, 17)]
    told["digits under noise"] = _off(digits, (x[order[900:1300]], y[order[900:1300]]), noisy)
    record("drift", "accuracy estimated before labels: mean absolute error over windows", told)


def _off(model: Any, valid: tuple[Floats, Floats], parts: list[tuple[Floats, Floats]]) -> dict[str, Any]:
    p = model.predict_proba(valid[0])
    before, right = p.max(axis=1), (model.classes_[p.argmax(axis=1)] == valid[1]).astype(float)
    errors: dict[str, list[float]] = {name: [] for name in (*estimated.WAYS, "unchanged")}
    inside: dict[str, list[bool]] = {name: [] for name in estimated.WAYS}
    truths: list[float] = []
    for x, y in parts:
        p = model.predict_proba(x)
        truth = float((model.classes_[p.argmax(axis=1)] == y).mean())
        truths.append(truth)
        for name, one in estimated.estimated(before, right, p.max(axis=1)).items():
            errors[name].append(abs(one.value - truth))
            inside[name].append(one.low <= truth <= one.high)
        errors["unchanged"].append(abs(float(right.mean()) - truth))
    return {
        "windows": len(parts), "accuracy_before": round(float(right.mean()), 4), "accuracy_now": [round(min(truths), 4), round(max(truths), 4)],
        "mean_absolute_error": {name: round(float(np.mean(each)), 4) for name, each in errors.items()},
        "truth_in_interval": {name: round(float(np.mean(each)), 3) for name, each in inside.items()},
    }  # fmt: skip


PEERS = r"""
import json, sys, warnings
warnings.filterwarnings("ignore")
import numpy as np
runs, REFERENCE, LENGTH, CHANGE = map(int, sys.argv[1:5])
def drawn(dice, count):
    return [dice.normal(size=count), dice.exponential(size=count), np.round(dice.normal(size=count), 1), dice.poisson(3, count).astype(float)]
told = {}
try:
    import evidently, pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset
    names = list("abcd")
    how = DataDefinition(numerical_columns=names)
    told["evidently"] = {"version": evidently.__version__}
    for window in (200, 1000):
        flagged = whole = 0
        for run in range(runs):
            dice = np.random.default_rng(run)
            a, b = (pd.DataFrame(dict(zip(names, drawn(dice, count)))) for count in (REFERENCE, window))
            out = Report([DataDriftPreset()]).run(Dataset.from_pandas(b, how), Dataset.from_pandas(a, how)).dict()
            value = next(m["value"] for m in out["metrics"] if "DriftedColumnsCount" in m["metric_name"])
            flagged += value["count"] >= 1
            whole += value["share"] >= 0.5
        told["evidently"]["window %d" % window] = {"runs": runs, "a_column_flagged": flagged, "data_set_flagged": whole}
except ImportError as error:
    told["evidently"] = str(error)
try:
    import river
    from river.drift import ADWIN, KSWIN, PageHinkley
    told["river"] = {"version": river.__version__}
    for name, make, some in (("ADWIN", ADWIN, runs), ("PageHinkley", PageHinkley, runs), ("KSWIN", lambda: KSWIN(seed=1), max(10, runs // 10))):
        alarm, delays, early = 0, [], 0
        for run in range(some):
            dice = np.random.default_rng(run)
            hit = False
            for before, stream in zip(drawn(dice, REFERENCE), drawn(dice, LENGTH)):
                one = make()
                for x in before.tolist():
                    one.update(x)
                for x in stream.tolist():
                    one.update(x)
                    if one.drift_detected:
                        hit = True
                        break
            alarm += hit
            dice = np.random.default_rng(1000 + run)
            stream = dice.normal(size=LENGTH)
            stream[CHANGE:] += 0.5
            before, one, at = dice.normal(size=REFERENCE), make(), None
            for x in before.tolist():
                one.update(x)
            for k, x in enumerate(stream.tolist()):
                one.update(x)
                if one.drift_detected:
                    at = k
                    break
            if at is not None and at < CHANGE:
                early += 1
            else:
                delays.append(float("inf") if at is None else at - CHANGE + 1)
        middle = float(np.median(delays)) if delays else None
        told["river"][name] = {"runs": some, "quiet_runs_with_alarm": alarm, "early": early, "delay_of_half_a_sigma": middle if middle is not None and np.isfinite(middle) else None}
except ImportError as error:
    told["river"] = str(error)
print(json.dumps(told, default=int))
"""


def peers(runs: int, python: str) -> None:
    done = subprocess.run(
        [python, "-c", PEERS, str(runs), str(REFERENCE), str(LENGTH), str(CHANGE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    record("drift", "peers at their defaults: alarms while nothing changes", json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    told = argparse.ArgumentParser()
    told.add_argument(
        "parts",
        nargs="*",
        default=["synthetic", "elec2", "estimates", "recording"],
        help="synthetic, elec2, estimates, recording",
    )
    told.add_argument("--runs", type=int, default=200)
    told.add_argument("--peers", help="python of an environment with evidently and river")
    given = told.parse_args()
    for part in given.parts:
        {"synthetic": synthetic, "elec2": electricity, "estimates": estimates}[part](given.runs)
    if given.peers:
        peers(given.runs, given.peers)


if __name__ == "__main__":
    main()
