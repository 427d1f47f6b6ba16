"""What is said of joining: plain data for evidence and report, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneful.core.measure import PairedTest
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.goals import goal
from tuneful.pipeline.joining.honest import FOLDS, Test
from tuneful.pipeline.joining.pool import Member


def single(why: str) -> dict[str, Any]:
    """Nothing was tried, or nothing could be."""
    return {"kind": "single", "why": why, "sentence": f"The single network stays: {why}."}


def verdict(
    task: Task, pool: Sequence[Member], one: Member, ways: Mapping[str, tuple[Mapping[int, float], Test]], kind: str,
    price: Mapping[str, Any], beyond: str,
) -> dict[str, Any]:  # fmt: skip
    """one: the single network that would be taken; ways: {"ensemble" or "soup": (shares by place in the pool, the test)}; kind: which
    is taken, or "" for none; price: what both cost; beyond: a word on limits."""
    tried = {name: _tried(task, pool, shares, found) for name, (shares, found) in ways.items()}
    alone = {"trial": one.trial, "run": one.run, "value": _value(task, one.answers)}
    found = {"kind": kind or "single", "single": alone, "tried": tried, "pool": len(pool), "folds": FOLDS, "beyond": beyond}
    if not kind:
        return found | {"sentence": _stays(task, ways)}
    shares = ways[kind][0]
    members = [
        {"trial": pool[j].trial, "run": pool[j].run, "weight": share, "value": _value(task, pool[j].answers)}
        for j, share in shares.items()
    ]
    sentence = _taken(task, kind, len(members), ways[kind][1], price)
    return found | {"members": members, "costs": dict(price), "sentence": sentence}


def _tried(task: Task, pool: Sequence[Member], shares: Mapping[int, float], found: Test) -> dict[str, Any]:
    return {
        "members": len(shares), "difference": found.test.difference.as_data(), "p": found.test.p, "test": found.test.test,
        "better": found.better, "finer": None if found.finer is None else _paired(found.finer),
    }  # fmt: skip


def _paired(test: PairedTest) -> dict[str, Any]:
    return {"difference": test.difference.as_data(), "p": test.p, "test": test.test}


def _value(task: Task, answers: Any) -> dict[str, Any]:
    unit = str(task.target.get("unit", "")) if task.kind == "regression" else ""
    return judge.value(task.objective.metric, answers, task.valid.y, unit, goal(task).block(task)).as_data()


def _said(task: Task, found: Test) -> str:
    d, metric = found.test.difference, task.objective.metric.replace("_", " ")
    turn = f"{'better' if d.value > 0 else 'worse'} by {abs(d.value):.2g}" if d.value else "unchanged"
    more = f"{metric} {turn} [{d.low:.2g}, {d.high:.2g}]"
    p = "< 0.001" if found.test.p < 0.001 else f"= {found.test.p:.2g}"
    return f"{more} (p {p}, {found.test.test})"


def _stays(task: Task, ways: Mapping[str, tuple[Mapping[int, float], Test]]) -> str:
    parts = [
        f"{'a soup' if name == 'soup' else 'an ensemble'} of {len(shares)} has {_said(task, found)}"
        for name, (shares, found) in ways.items()
    ]
    return (
        f"The single network stays, as nothing joined was shown to be better on examples of valid that did not choose it: "
        f"{'; '.join(parts)}; the simpler one wins ties."
    )


def _taken(task: Task, kind: str, count: int, found: Test, price: Mapping[str, Any]) -> str:
    what = "A soup, the mean of the weights" if kind == "soup" else "An ensemble, the mean of the answers"
    by_finer = found.finer is not None and not (found.test.p < 0.05 and found.test.difference.value > 0)
    also = ", and its probabilities are better (Brier score)" if by_finer else ""
    one, all_of = price["single"], price["joined"]
    times = f"{all_of['weights']:,} weights for {one['weights']:,}"
    slow = f"{all_of['latency']['value']:.2g} ms an example by torch for {one['latency']['value']:.2g} ms"
    return (
        f"{what} of {count} networks is taken: against the best single one, on examples of valid that did not choose it, its "
        f"{_said(task, found)}{also}. It costs {times}, {slow}."
    )


__all__ = ["single", "verdict"]
