"""Thirty runs in which nothing is wrong: the doctor says nothing. Kinds of data, models, optimizers and inits are mixed."""

from __future__ import annotations

import random

import pytest

from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.doctor import examine
from tuneful.pipeline.prepare import prepare
from tuneful.techniques.symptoms import TABLE

STEPS = 100
TABLES = [
    {"model": "mlp", "optimizer": "adamw"},
    {"model": "mlp", "optimizer": "sgd", "lr": 0.1},
    {"model": "mlp", "optimizer": "momentum", "lr": 0.02},
    {"model": "mlp", "optimizer": "adam", "activation": "tanh"},
    {"model": "mlp", "optimizer": "adabound", "lr": 3e-3},
    {"model": "mlp", "optimizer": "lion", "lr": 3e-4},
    {"model": "mlp", "optimizer": "muon", "lr": 0.01},
    {"model": "mlp", "optimizer": "rmsprop", "lr": 1e-3, "norm": "batch"},
    {"model": "mlp", "optimizer": "nadamw", "depth": 4},
    {"model": "mlp", "optimizer": "schedule_free_adamw"},
    {"model": "mlp", "optimizer": "adamw", "init": "orthogonal", "mixup": 0.2},
    {"model": "linear", "optimizer": "sgd", "lr": 0.1},
    {"model": "linear", "optimizer": "adamw"},
    {"model": "table_resnet", "optimizer": "adamw"},
    {"model": "ft_transformer", "optimizer": "adamw"},
    {"model": "tabm", "optimizer": "adamw"},
]
VALUES = [
    {"model": "mlp", "optimizer": "adamw"},
    {"model": "mlp", "optimizer": "sgd", "lr": 0.02},
    {"model": "linear", "optimizer": "adam"},
    {"model": "mlp", "optimizer": "adamw", "loss": "huber"},
    {"model": "table_resnet", "optimizer": "adamw"},
]
IMAGES = [
    {"model": "convnet", "width": 8, "optimizer": "adamw"},
    {"model": "convnet", "width": 8, "optimizer": "momentum", "lr": 0.02},
    {"model": "lenet", "optimizer": "adam"},
    {"model": "mlp", "optimizer": "adamw"},
    {"model": "resnet", "width": 4, "optimizer": "momentum", "lr": 0.02},
    {"model": "vit", "width": 24, "depth": 2, "optimizer": "adamw"},
]
WORDS = [
    {"model": "bag", "optimizer": "adamw"},
    {"model": "lstm", "optimizer": "adamw"},
    {"model": "transformer", "optimizer": "adamw"},
]


@pytest.fixture(scope="module")
def sayings(tmp_path_factory):
    """Sentences that praise or blame."""
    dice = random.Random(0)
    parts = {"good": ["fine", "lovely", "bright", "warm", "kind"], "bad": ["dull", "broken", "cold", "grim", "sour"]}
    lines = ["text,label"]
    for k in range(400):
        mood = ("good", "bad")[k % 2]
        words = [dice.choice(["the", "a", "it", "was", "very", "day", "house"]) for _ in range(6)] + [
            dice.choice(parts[mood])
        ]
        dice.shuffle(words)
        lines.append(f"{' '.join(words)},{mood}")
    path = tmp_path_factory.mktemp("sayings") / "sayings.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return prepare(str(path), target="label")


def healthy(task, settings) -> None:
    more = {"batch_size": 32, "threads": 1, "epochs": STEPS, "regularizers": "none", "augments": "none"}
    recipe = from_mapping({**more, **settings}, task)[0]
    found = examine(task, recipe, steps=STEPS)
    known = tuple(one for one in found.complaints if one.symptom != "data_path")  # a busy machine may be slow to give
    assert known == ()
    assert (found.ended, found.steps, found.looks) == ("", STEPS, pytest.approx(20, abs=2))


def name(settings) -> str:
    return "-".join(str(value) for value in settings.values())


@pytest.mark.parametrize("settings", TABLES, ids=name)
def test_nothing_is_said_of_healthy_classifiers(settings, flowers):
    healthy(flowers, settings)


@pytest.mark.parametrize("settings", VALUES, ids=name)
def test_nothing_is_said_of_healthy_regressions(settings, houses):
    healthy(houses, settings)


@pytest.mark.parametrize("settings", IMAGES, ids=name)
def test_nothing_is_said_of_healthy_image_networks(settings, stripes):
    healthy(stripes, settings)


@pytest.mark.parametrize("settings", WORDS, ids=name)
def test_nothing_is_said_of_healthy_readers(settings, sayings):
    healthy(sayings, settings)


def test_nothing_is_said_of_a_network_that_writes(tmp_path):
    dice = random.Random(0)
    lines = ["source\ttarget"]
    for _ in range(300):
        words = [dice.choice(["red", "blue", "one", "two", "cat", "dog"]) for _ in range(4)]
        lines.append(f"{' '.join(words)}\t{' '.join(reversed(words))}")
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    healthy(prepare(str(path), target="target"), {"batch_size": 16})


def test_nothing_is_said_of_levels_and_of_labels_that_are_not_all_known(tmp_path):
    dice = random.Random(0)
    rows = [[dice.gauss(0, 1) for _ in range(3)] for _ in range(300)]
    graded, marked = ["a,b,c,grade"], ["a,b,c,warm,loud"]
    for a, b, c in rows:
        graded.append(f"{a:.3f},{b:.3f},{c:.3f},{min(4, max(0, round(2 + a + b)))}")
        marked.append(f"{a:.3f},{b:.3f},{c:.3f},{int(a > 0)},{dice.choice([str(int(b > c)), ''])}")
    for name, lines, more in (
        ("graded", graded, {"target": "grade", "kind": "ordinal"}),
        ("marked", marked, {"target": "warm,loud"}),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        healthy(prepare(str(path), **more), {"model": "mlp", "width": 16})


def test_thirty_runs_and_every_check():
    assert len(TABLES) + len(VALUES) + len(IMAGES) + len(WORDS) >= 30
    assert len(TABLE) == 12
