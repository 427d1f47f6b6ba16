"""What the user believes: read, begun with, drawn near, and never in the way of the rest."""

import numpy as np
import optuna
import pytest

from tuneful.core.errors import SpaceError
from tuneful.core.space import Choice, Dial, Range, Space, parse
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.words import from_words
from tuneful.techniques.search.prior import believed, is_drawn


@pytest.mark.parametrize(
    ("text", "integer", "found"),
    [
        ("1e-4..1e-1~1e-3", False, Range(1e-4, 1e-1, log=True, near=1e-3)), ("~0.001", False, Range(3.16e-5, 0.0316, log=True, near=1e-3)),
        ("0..1 ~ 0.5", False, Range(0, 1, near=0.5)), ("16..256~64", True, Range(16, 256, log=True, integer=True, near=64)),
        ("~32", True, Range(8, 128, integer=True, near=32)), ("sgd,adam~adam", False, Choice(("sgd", "adam"), near="adam")),
    ],
)  # fmt: skip
def test_beliefs_are_read_and_told_as_they_are_written(text, integer, found):
    assert parse(text, integer=integer) == found
    assert parse(str(found), integer=integer) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1e-4..1e-1~1", "believed near 1, outside of the range 0.0001..0.1"), ("~0", "~0 gives no range"), ("~adam", "~adam gives no range"),
        ("sgd,adam~lion", "lion is believed to be good, and is none of sgd, adam"), ("0.1~0.2", "says what is believed of one value"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_refused(text, said):
    with pytest.raises(SpaceError, match=said):
        parse(text)


def test_a_word_may_say_it_alone_and_the_search_begins_there():
    job = from_words("tune", "digits", ["lr~2e-3", "width=8..64~16"])
    assert [(entry.key, entry.value) for entry in job.entries] == [("lr", "~2e-3"), ("width", "8..64~16")]
    recipe, space = from_mapping({"lr": "~2e-3", "width": "8..64~16", "model": "mlp", "optimizer": "sgd,adamw~adamw"})
    assert recipe.get("optimizer.lr") == 2e-3
    assert recipe.get("model.width") == 16
    assert recipe.optimizer.kind == "adamw"
    assert space.as_data()["model.width"] == "8..64~16"


def test_draws_lie_near_it_and_become_fewer():
    space = Space(
        (
            Dial("lr", Range(1e-5, 1e-1, log=True, near=1e-3)),
            Dial("kind", Choice(("a", "b", "c"), near="b")),
            Dial("free", Range(0, 1)),
        )
    )
    study, found = optuna.create_study(), []
    for number in range(400):
        study.sampler = believed(space, number)
        asked = study.ask()
        found.append(space.suggest(asked))
        study.tell(asked, 0.0)
    logs = np.log10([one["lr"] for one in found])
    assert abs(logs.mean() + 3) < 0.1
    assert 0.5 < logs.std() < 0.65  # 0.15 of four decades, cut at the ends
    assert 0.75 < np.mean([one["kind"] == "b" for one in found]) < 0.85  # 0.7 and a third of the rest
    assert 0.45 < np.mean([one["free"] for one in found]) < 0.55
    drawn = np.array([[is_drawn(space, number, seed) for number in range(100)] for seed in range(200)]).mean(0)
    np.testing.assert_allclose(drawn, [0.5 * 10 / (10 + number) for number in range(100)], atol=0.13)
    assert not any(is_drawn(Space((Dial("free", Range(0, 1)),)), number, 0) for number in range(20))
