"""What is chosen where the user leaves something open."""

from __future__ import annotations

from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve


def test_an_mlp_on_grey_images_is_moved_between_pixels_and_a_convnet_by_whole_ones(stripes):
    kinds = {
        model: [one.kind for one in resolve(from_mapping({"model": model}, stripes)[0], stripes).augments]
        for model in ("mlp", "convnet")
    }
    assert kinds == {"mlp": ["shift"], "convnet": ["crop"]}
