"""Greedy soup: the mean of the weights of several candidates, each taken in only if it does no harm on valid.

    soup = the best on valid;  from the second best on:  mean of the soup's members and this one, kept if it is no worse on valid

It costs one network when it is used, where an ensemble costs all of them. The mean of weights means something only where the
candidates lie in one valley: branches of one run, fine-tunings of one network. Of runs from different random beginnings it
will take one and leave the others.

Source: Wortsman et al., ICML 2022, algorithm 1, arXiv:2203.05482.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import ModelError
from tuneful.core.measure import PairedTest
from tuneful.core.task import Task
from tuneful.pipeline import judge
from tuneful.pipeline.batches import Batches
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.goals import goal
from tuneful.pipeline.readout import STATISTICS, recalibrate_


@dataclass(frozen=True)
class Soup:
    """candidate: the mean (the best single one, where nothing could be added); members: whose mean it is, as places in the list
    that was given, the best first; test: the soup against the best single one, on the same examples of valid."""

    candidate: Candidate
    members: tuple[int, ...]
    test: PairedTest


def soup(task: Task, candidates: Sequence[Candidate]) -> Soup:
    """The greedy soup of candidates that have one architecture, judged on valid. They are not changed.

    Batch norms' statistics are taken anew with the mean's weights, from the first batches of train. The members are chosen on
    valid, so the test says whether the soup is better there; the test split alone tells by how much.

    Raises ModelError for no candidates, or for some whose weights have other names or shapes.
    """
    if not candidates:
        raise ModelError("a soup needs candidates; it was given none")
    _refuse_others(candidates)
    metric, y = task.objective.metric, task.valid.y
    sign = 1.0 if task.objective.direction == "max" else -1.0
    said = [judge.predict(one.network, task.valid.x, kind=task.kind) for one in candidates]
    values = [sign * judge.score(metric, p, y) for p in said]
    order = sorted(
        range(len(candidates)), key=lambda place: (-values[place] if values[place] == values[place] else 1e300, place)
    )
    best = candidates[order[0]]
    members, network, answers, value = [order[0]], best.network, said[order[0]], values[order[0]]
    for place in order[1:]:
        tried = mean(task, [candidates[one] for one in (*members, place)])
        p = judge.predict(tried, task.valid.x, kind=task.kind)
        if sign * judge.score(metric, p, y) >= value:
            members.append(place)
            network, answers, value = tried, p, sign * judge.score(metric, p, y)
    test = judge.compare(metric, answers, said[order[0]], y, block=goal(task).block(task))
    names = ", ".join(str(one) for one in members)
    note = f"the mean of the weights of {len(members)} of {len(candidates)} candidates ({names}), chosen on valid"
    seconds = {name: sum(one.seconds.get(name, 0.0) for one in candidates) for name in best.seconds}
    return Soup(
        Candidate(
            copy.deepcopy(network),
            best.recipe,
            best.steps,
            judge.value(metric, answers, y, block=goal(task).block(task)),
            seconds,
            (*best.notes, note),
        ),
        tuple(members),
        test,
    )


def mean(task: Task, members: Sequence[Candidate]) -> Any:
    """A network with the mean of the members' weights; what does not float is the first's."""
    network = copy.deepcopy(members[0].network)
    states = [one.network.body.state_dict() for one in members]
    mean: dict[str, Tensor] = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    network.body.load_state_dict(mean)
    batches = Batches(task, members[0].recipe, torch.device("cpu"))
    count = min(STATISTICS, batches.per_epoch)
    recalibrate_(network.body, (network.front(batches.at(step)[0]) for step in range(count)))
    return network


def _refuse_others(candidates: Sequence[Candidate]) -> None:
    shapes = [{name: value.shape for name, value in one.network.state_dict().items()} for one in candidates]
    for place, one in enumerate(shapes):
        if one != shapes[0]:
            name = next(name for name in (*shapes[0], *one) if shapes[0].get(name) != one.get(name))
            raise ModelError(
                f"candidates 0 and {place} differ in {name}: {shapes[0].get(name)} and {one.get(name)}",
                "a soup is a mean of weights, so all of them must have one architecture",
            )
