"""What is chosen where the user leaves something open."""

from __future__ import annotations

import numpy as np
import pytest

from tuneful.core.errors import ModelError
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import form
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
from tuneful.techniques.models import TABLE


def test_an_mlp_on_grey_images_is_moved_between_pixels_and_a_convnet_by_whole_ones(stripes):
    kinds = {
        model: [one.kind for one in resolve(from_mapping({"model": model}, stripes)[0], stripes).augments]
        for model in ("mlp", "convnet")
    }
    assert kinds == {"mlp": ["shift"], "convnet": ["crop"]}


@pytest.mark.parametrize("kind", [kind for kind in TABLE if kind not in ("own", "pretrained")])
def test_what_is_chosen_beside_a_model_suits_it(kind, stripes, flowers):
    """Whoever names a model alone gets a run that takes a step, or a sentence that the model is not for such data."""
    for task in (stripes, flowers):
        seen = form(task)
        if TABLE[kind].serves and seen.kind not in TABLE[kind].serves:
            with pytest.raises(ModelError, match=f"model.{kind} takes"):
                Run(task, from_mapping({"model": kind}, task)[0])
            continue
        if kind == "unet":
            with pytest.raises(ModelError, match=r"model.unet answers at each pixel"):
                Run(task, from_mapping({"model": kind}, task)[0])
            continue
        run = Run(task, from_mapping({"model": kind, "threads": 1}, task)[0])
        run.timed(1, 0.0)
        assert run.step == 1


@pytest.mark.parametrize(("n", "channels", "changed"), [(60, 3, True), (1200, 3, False), (60, 1, False)])
def test_few_photographs_are_changed_much_and_seen_often(n, channels, changed):
    """Grey images may be signs, which these changes would turn into others."""
    dice = np.random.default_rng(0)
    x = dice.integers(0, 255, (n, channels, 16, 16), dtype=np.uint8)
    task = prepare((x, np.arange(n) % 2), name="photographs")
    found = resolve(from_mapping({}, task)[0], task)
    kinds = {one.kind for one in found.augments}
    assert ({"trivialaugment", "mixup"} <= kinds, found.epochs == 150) == (changed, changed)
