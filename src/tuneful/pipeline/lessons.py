"""What a search teaches for the next one: which dials mattered, which act together, where a range was too short, what to search next.

    importance     PED-ANOVA: how far the density of a dial's values among the best tenth is from that among all trials. Optuna's;
                   it respects dials that exist beside some choices only. The interval comes from resampled halves of the trials.
    together       do two dials act together? On ranks, with places u in [0, 1] of their ranges: does u_a u_b say more than u, u^2 of
                   each (F test, Bonferroni over the pairs)?
    edge           the best values of a numeric dial crowd in the outer tenth of its range: better ones may lie beyond
    next space     around the best tenth, with a margin of a tenth of the range on both sides; beyond an end where they crowd there,
                   by half the range, as far as the recipe takes it; a choice keeps the options that are among the best

All of it speaks of the trials that were made: a proposer that settles early hides what it settled on.

Source: Watanabe, Bansal & Hutter, IJCAI 2023, arXiv:2304.10255 (PED-ANOVA).
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core import storage
from tuneful.core.errors import TunefulError
from tuneful.core.recipe import Recipe
from tuneful.core.space import Choice, Dial, Range, Space, by_decades
from tuneful.core.trial import Trial
from tuneful.pipeline.keys import Keys

FEWEST = 12  # trials with a value, from which on something is said
HALVES = 20
CROWD = 0.1  # the outer part of a range in which the best crowd, and the margin around them
MOST = 400  # trials that importance looks at; more are an even sample
LEVEL = 0.05


def lessons(trials: Sequence[Trial], space: Space, recipe: Recipe, smaller: bool, command: str = "") -> dict[str, Any]:
    """Plain data for the evidence; {} of few trials. recipe: what the space leaves open; command: that of this search."""
    known = [t for t in trials if t.state != "failed" and t.last and math.isfinite(t.last.value.value)]
    if len(known) < FEWEST or not len(space):
        return {}
    values = np.array([t.last.value.value if t.last else math.nan for t in known])
    order = np.argsort(values if smaller else -values, kind="stable")
    best = [known[k] for k in order[: max(5, len(known) // 10)]]
    shares = importance(known, values, space, smaller)
    told = {dial.path: _dial(dial, best, recipe, space) for dial in space}
    for path, (share, low, high) in shares.items():
        told[path] |= {"importance": share, "low": low, "high": high}
    ranges = {path: one["next"] for path, one in told.items()}
    warnings = [one["warning"] for one in told.values() if one["warning"]]
    return {
        "dials": told, "together": together(known, values, space), "warnings": warnings, "space": ranges, "trials": len(known),
        "command": _command(command, ranges),
    }  # fmt: skip


def importance(
    trials: Sequence[Trial], values: NDArray[np.float64], space: Space, smaller: bool
) -> dict[str, tuple[float, float, float]]:
    """{dial: (share, low, high)}; {} where Optuna has nothing to say, as of values that are all equal."""
    chosen = np.unique(np.linspace(0, len(trials) - 1, min(MOST, len(trials))).astype(int))
    sign = 1.0 if smaller else -1.0
    whole = _shares([trials[k] for k in chosen], sign * values[chosen], space)
    rng, half = np.random.default_rng(0), len(chosen) // 2
    again: list[dict[str, float]] = []
    for _ in range(HALVES):
        picked = np.sort(rng.choice(chosen, half, replace=False))
        again.append(_shares([trials[k] for k in picked], sign * values[picked], space))
    found: dict[str, tuple[float, float, float]] = {}
    for path, share in whole.items():
        drawn = np.array([one.get(path, 0.0) for one in again])
        low, high = share + (np.quantile(drawn, [0.025, 0.975]) - drawn.mean()) * (half / (len(chosen) - half)) ** 0.5
        found[path] = (share, float(min(share, max(0.0, low))), float(max(share, min(1.0, high))))
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _shares(trials: Sequence[Trial], losses: NDArray[np.float64], space: Space) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if np.ptp(losses) == 0:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # as `storage.connect` does
    target = max(0.1, min(0.5, 5 / len(trials)))  # five trials at least, as Optuna advises
    with storage.quiet():
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        for trial, loss in zip(trials, losses, strict=True):
            held = {dial.path: trial.dials[dial.path] for dial in space if dial.path in trial.dials}
            kinds = {dial.path: _distribution(dial) for dial in space if dial.path in held}
            study.add_trial(optuna.trial.create_trial(params=held, distributions=kinds, value=float(loss)))
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=target))
        except (RuntimeError, ValueError):  # no parameter that all have, or none that changed
            return {}
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _distribution(dial: Dial) -> Any:
    from optuna import distributions

    if isinstance(dial.range, Choice):
        return distributions.CategoricalDistribution(dial.range.values)
    if dial.range.integer:
        return distributions.IntDistribution(int(dial.range.low), int(dial.range.high), log=dial.range.log)
    return distributions.FloatDistribution(dial.range.low, dial.range.high, log=dial.range.log)


def together(trials: Sequence[Trial], values: NDArray[np.float64], space: Space) -> list[dict[str, Any]]:
    """Pairs of numeric dials that act together, the clearest first: [{"dials": [a, b], "p": corrected, "sign": of the product}]."""
    numeric = [dial for dial in space if isinstance(dial.range, Range)]
    pairs = list(itertools.combinations(numeric, 2))
    found: list[dict[str, Any]] = []
    for a, b in pairs:
        both = [k for k, trial in enumerate(trials) if a.path in trial.dials and b.path in trial.dials]
        if len(both) < FEWEST:
            continue
        u, v = (np.array([_place(dial.range, trials[k].dials[dial.path]) for k in both]) for dial in (a, b))
        ranks = np.argsort(np.argsort(values[both])).astype(float)
        base = np.stack([np.ones_like(u), u, u * u, v, v * v], axis=1)
        full = np.column_stack([base, u * v])
        without, beside = (_left_over(x, ranks) for x in (base, full))
        freedom = len(both) - full.shape[1]
        if freedom < 1 or beside <= 1e-12:
            continue
        p = _tail((without - beside) / (beside / freedom), freedom) * len(pairs)
        if p < LEVEL:
            slope = float(np.linalg.lstsq(full, ranks, rcond=None)[0][-1])
            found.append({"dials": [a.path, b.path], "p": min(1.0, p), "sign": 1 if slope > 0 else -1})
    return sorted(found, key=lambda one: one["p"])


def _left_over(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())


def _tail(f: float, freedom: int) -> float:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    return float(special.fdtrc(1, freedom, max(f, 0.0)))


def _place(span: Any, value: Any) -> float:
    """Where in its range a value lies, 0 to 1, in the range's own scale."""
    low, high, at = (math.log(x) if span.log else float(x) for x in (span.low, span.high, value))
    return (at - low) / (high - low)


def _value(span: Range, place: float) -> float:
    low, high = (math.log(x) if span.log else x for x in (span.low, span.high))
    found = low + place * (high - low)
    return math.exp(found) if span.log else found


# ------------------------------------------------------------------------------------------------ the next space


def _dial(dial: Dial, best: Sequence[Trial], recipe: Recipe, space: Space) -> dict[str, Any]:
    """Where the best of a dial's values lie, and what to search next. best: trials, the best first."""
    held = [trial.dials[dial.path] for trial in best if dial.path in trial.dials]
    plain: dict[str, Any] = {"best": held[:5], "edge": "", "warning": "", "next": str(dial.range)}
    if not held:
        return plain
    if isinstance(dial.range, Choice):
        kept = tuple(value for value in dial.range.values if value in held)
        return plain | {"next": ",".join(map(str, kept))}
    places = np.array([_place(dial.range, value) for value in held])
    low, high = float(places.min()) - CROWD, float(places.max()) + CROWD
    middle = float(np.median(places))
    edge = "low" if middle < CROWD else "high" if middle > 1 - CROWD else ""
    if edge == "low":
        low = -0.5
    if edge == "high":
        high = 1.5
    ends = [
        _end(dial, place, recipe, space, old)
        for place, old in ((low, dial.range.low), (high, dial.range.high))
    ]  # fmt: skip
    said = ""
    if edge:
        end, grown = dial.range.low if edge == "low" else dial.range.high, ends[0 if edge == "low" else 1]
        moved = grown != end
        said = f"the best values of {dial.path} lie at the {edge} end of its range, {end:g}" + (
            f"; better ones may lie beyond, so search on to {grown:g}" if moved else ", and it can go no further"
        )
    if ends[0] >= ends[1]:
        return plain | {"edge": edge, "warning": said}
    span = Range(ends[0], ends[1], dial.range.log, dial.range.integer)
    told = f"{span.low:g}..{span.high:g}"
    told = told if span.log == by_decades(span.low, span.high) else f"{'log' if span.log else 'lin'}({told})"
    return plain | {"edge": edge, "warning": said, "next": told}


def _end(dial: Dial, place: float, recipe: Recipe, space: Space, old: float) -> float:
    """An end of the next range: inside the old one, or beyond it where the recipe takes such a value."""
    span: Any = dial.range
    if 0 <= place <= 1:
        found = float(f"{_value(span, place):.2g}")
        return float(round(found)) if span.integer else min(max(found, span.low), span.high)
    if place >= -CROWD and place <= 1 + CROWD:  # the margin alone does not lead beyond
        return old
    found = float(f"{_value(span, place):.2g}")
    found = float(round(found)) if span.integer else found
    try:
        space.apply(recipe, _beside(dial) | {dial.path: int(found) if span.integer else found})
    except TunefulError:
        return old
    return found


def _beside(dial: Dial) -> dict[str, Any]:
    return {} if dial.when is None else {dial.when[0]: dial.when[1][0]}


def _command(command: str, ranges: Mapping[str, str]) -> str:
    """The command that searches the next space: this one with its ranges replaced; "" for a search from Python."""
    words = shlex.split(command) if command else []
    if len(words) < 3 or words[0] != "tuneful" or words[1] not in ("tune", "optimize"):
        return ""
    keys, left, said = Keys(), dict(ranges), [words[0], "tune"]
    for at, word in enumerate(words[2:], 2):
        head = keys.resolve(word.partition("=")[0])[0].removesuffix(".kind")
        path = next(
            (one for one in left if one == head or one.rpartition(".")[0] == head), head
        )  # dropout=0.1..0.5 is its rate
        if "=" in word and path in left:
            said.append(f"{word.partition('=')[0]}={left.pop(path)}")
        elif word in ("--name", "--fresh", "--resume") or (words[at - 1] == "--name"):
            continue
        else:
            said.append(word)
    return shlex.join([*said, *(f"{path}={told}" for path, told in left.items())])
