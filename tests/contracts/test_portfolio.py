"""Points to begin with: AlgoPerf's settings where the space has their dials, and nothing invented where it has not."""

from tuneful.core.space import Choice, Dial, Range, Space
from tuneful.techniques.search.portfolio import POINTS, mapped

LR = Dial("optimizer.lr", Range(3e-4, 3e-2, log=True))
WIDTH = Dial("model.width", Range(16, 64, integer=True))


def test_the_points_are_those_that_were_published():
    assert [point["optimizer.lr"] for point in POINTS] == [
        0.001308209823469072,
        0.0008445074561975979,
        0.004958460849689891,
        0.0017486387539278373,
    ]
    assert [round(1 - point["optimizer.beta1"], 11) for point in POINTS] == [
        0.02686663061,
        0.11042418465,
        0.13625575743,
        0.06733926164,
    ]


def test_other_dials_stay_as_the_recipe_has_them():
    found = mapped(Space((LR, WIDTH)), {"optimizer.lr": 3e-3, "model.width": 32}, "adamw")
    assert found == [{"optimizer.lr": point["optimizer.lr"], "model.width": 32} for point in POINTS]


def test_a_value_outside_its_range_is_not_taken():
    narrow = Space((Dial("optimizer.lr", Range(1e-3, 2e-3, log=True)), Dial("optimizer.decay", Range(1e-5, 0.1, log=True))))
    found = mapped(narrow, {"optimizer.lr": 1.5e-3, "optimizer.decay": 0.01}, "nadamw")
    assert found[1] == {"optimizer.lr": 1.5e-3, "optimizer.decay": 0.08135402759553023}
    assert len(found) == 3  # of the third neither lies inside


def test_a_choice_of_optimizers_takes_one_of_the_family():
    space = Space(
        (
            Dial("optimizer", Choice(("sgd", "adamw"))),
            LR,
            Dial("optimizer.momentum", Range(0.5, 0.99), ("optimizer", ("sgd",))),
        )
    )
    found = mapped(space, {"optimizer": "sgd", "optimizer.lr": 3e-3, "optimizer.momentum": 0.9}, "sgd")
    assert found[0] == {"optimizer": "adamw", "optimizer.lr": POINTS[0]["optimizer.lr"]}


def test_another_family_or_no_dial_of_theirs_begins_without_them():
    assert mapped(Space((LR,)), {"optimizer.lr": 3e-3}, "sgd") == []
    assert mapped(Space((WIDTH,)), {"model.width": 32}, "adamw") == []
