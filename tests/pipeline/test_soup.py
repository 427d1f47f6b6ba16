"""The greedy soup: held against the algorithm written out, and against weights whose mean is known."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from tuneful.core.errors import ModelError
from tuneful.pipeline import judge
from tuneful.pipeline.branch import branch
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.soup import soup
from tuneful.pipeline.train import Run


@pytest.fixture(scope="module")
def run(flowers):
    settings = {
        "model": "mlp",
        "width": 16,
        "norm": "batch",
        "epochs": 8,
        "batch_size": 32,
        "threads": 1,
        "regularizers": "none",
    }
    recipe = from_mapping({**settings, "schedule": "wsd", "schedule.warmup": 5, "lr": 0.02}, flowers)[0]
    return Run(flowers, recipe)


@pytest.fixture(scope="module")
def candidates(run):
    """Branches of one run, which lie in one valley."""
    found = []
    for _ in run:
        if run.step in (18, 27, 36, 45):
            short = branch(run, 0.2)
            list(short)
            found.append(short.candidate())
    return found


def test_is_the_algorithm_of_the_paper(flowers, candidates):
    found = soup(flowers, candidates)

    def value(network: nn.Module) -> float:
        return judge.score("accuracy", judge.predict(network, flowers.valid.x), flowers.valid.y)

    singles = [value(one.network) for one in candidates]
    order = sorted(range(len(candidates)), key=lambda k: (-singles[k], k))
    assert found.members[0] == order[0]
    assert list(found.members) == [k for k in order if k in found.members]
    assert value(found.candidate.network) == found.candidate.value.value >= max(singles)
    assert found.test.difference.value == pytest.approx(found.candidate.value.value - singles[order[0]])
    weights = [candidates[k].network.body.state_dict() for k in found.members]
    for name, tensor in found.candidate.network.body.named_parameters():
        torch.testing.assert_close(tensor.detach(), sum(w[name] for w in weights) / len(weights))
    assert f"{len(found.members)} of 4 candidates" in found.candidate.notes[-1]


def test_takes_twins_and_leaves_out_what_harms(flowers, candidates):
    best = max(candidates, key=lambda one: one.value.value)
    bad = copy.deepcopy(best.network)
    with torch.no_grad():
        for p in bad.body.parameters():
            p.mul_(-3)
    harmful = replace(best, network=bad)
    found = soup(flowers, [harmful, best, replace(best, network=copy.deepcopy(best.network))])
    assert set(found.members) >= {1}
    assert 0 not in found.members
    assert found.candidate.value.value >= best.value.value


def test_does_not_change_the_candidates(flowers, candidates):
    before = [copy.deepcopy(one.network.state_dict()) for one in candidates]
    made = soup(flowers, candidates).candidate.network
    with torch.no_grad():
        for p in made.parameters():
            p.zero_()
    for one, state in zip(candidates, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in one.network.state_dict().items())


def test_refuses_other_shapes_and_nothing(flowers, candidates):
    with pytest.raises(ModelError, match="it was given none"):
        soup(flowers, [])
    other = from_mapping({"model": "mlp", "width": 8, "epochs": 1, "threads": 1, "regularizers": "none"}, flowers)[0]
    with pytest.raises(ModelError, match=r"candidates 0 and 1 differ in body"):
        soup(flowers, [candidates[0], Run(flowers, other).candidate()])
