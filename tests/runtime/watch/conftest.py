"""An artifact of an untrained network for a small table, and predictions of it as a server would record them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship
from tuneful.runtime.load import Model, load


def people(count: int, seed: int, older: float = 0.0) -> dict[str, list]:
    """Rows as they come from outside, in columns."""
    dice = np.random.default_rng(seed)
    age = np.round(dice.normal(40 + older, 10, count)).tolist()
    job = np.array(["nurse", "clerk", "baker"])[dice.integers(3, size=count)].tolist()
    income = ["high" if one + dice.normal(0, 8) > 42 else "low" for one in age]
    email = [f"{at}@example.org" for at in range(count)]
    return {"age": age, "job": job, "email": email, "income": income}


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("watch")
    with (root / "people.csv").open("w", newline="") as file:
        out = csv.writer(file)
        rows = people(1500, 0)
        out.writerow(rows)
        out.writerows(zip(*rows.values(), strict=True))
    task = prepare(str(root / "people.csv"), target="income")
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, nn.Linear(int(np.prod(task.shape)), 2), back)
    x, y = torch.from_numpy(np.asarray(task.train.x)), torch.from_numpy(np.asarray(task.train.y))
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    ship(task, Candidate(net.eval(), Recipe(), steps=200), {"headline": "logistic"}, root / "artifact")
    return root / "artifact"


@pytest.fixture(scope="session")
def model(artifact: Path) -> Model:
    return load(artifact)
