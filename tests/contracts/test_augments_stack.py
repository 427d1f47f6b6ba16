"""A stack of trials: each member gets the batch that it would get alone, with its own strength and its own dice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tuneful.core.errors import RecipeError
from tuneful.techniques.augments import (
    TABLE,
    Background,
    Crop,
    Erase,
    Flip,
    Mixup,
    Noise,
    RandAugment,
    Rotate,
    SpecAugment,
    TokenDrop,
    TokenMask,
    Zoom,
    apply,
    apply_stack,
)
from tuneful.techniques.interfaces import Augment

K, B = 3, 8


def dice(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


SHAPES = {"image": (3, 9, 9), "spectrogram": (1, 12, 20), "vector": (11,), "series": (2, 30), "tokens": (15,)}


def batches(form: str = "image") -> tuple[Tensor, Tensor]:
    x = torch.randn(K, B, *SHAPES[form], generator=dice(7)[0])
    if form == "tokens":
        x = (x * 3).abs().long()
    p = torch.nn.functional.one_hot(torch.arange(K * B) % 5, 5).float().reshape(K, B, 5)
    return x, p


def compare(members: list[list[Augment]], form: str = "image") -> None:
    x, p = batches(form)
    before = x.clone(), p.clone()
    seeds = [[10 * k + place for place in range(len(members[0]))] for k in range(K)]
    stacked = apply_stack(members, x, p, [dice(*row) for row in seeds])
    assert torch.equal(x, before[0])
    assert torch.equal(p, before[1])
    for k in range(K):
        alone = apply(members[k], x[k], p[k], dice(*seeds[k]))
        torch.testing.assert_close(stacked[0][k], alone[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(stacked[1][k], alone[1], rtol=0, atol=1e-6)


SERVED = [(kind, form) for kind, cls in TABLE.items() for form in cls.serves if not (cls.raw and form == "spectrogram")]


@pytest.mark.parametrize(("kind", "form"), SERVED)
def test_a_member_equals_its_lonely_twin(kind: str, form: str):
    compare([[TABLE[kind]()] for _ in range(K)], form)


def test_strengths_are_those_of_each_trial():
    compare([[Flip(share=s), Rotate(degrees=d), Zoom(amount=s)] for s, d in ((0.1, 0.0), (0.5, 20.0), (0.9, 90.0))])
    compare([[Crop(padding=1 + k), Noise(std=0.1 * k), Mixup(alpha=0.2 + k)] for k in range(K)])
    compare([[RandAugment(strength=0.3 * k, ops=1 + k), Erase(share=0.4 * k)] for k in range(K)])
    compare([[Background(snr=10.0 * k, of=of)] for k, of in enumerate(("pink", "batch", "white"))], "series")
    compare([[SpecAugment(bands=k, stretches=2 - k, width=0.1 * k)] for k in range(K)], "spectrogram")
    compare([[TokenDrop(share=0.3 * k), TokenMask(share=0.2)] for k in range(K)], "tokens")
    x, p = batches()
    members = [[Noise(std=std)] for std in (0.0, 0.1, 1.0)]
    changed, _ = apply_stack(members, x, p, [dice(0), dice(0), dice(0)])
    deviations = (changed - x).flatten(1).std(1)
    assert deviations[0] == 0
    torch.testing.assert_close(deviations[2] / deviations[1], torch.tensor(10.0), rtol=1e-3, atol=0)


def test_partners_stay_within_their_trial():
    x = torch.arange(float(K)).reshape(K, 1, 1).repeat(1, B, 4)  # each trial holds its own number only
    changed, _ = apply_stack([[Mixup(alpha=1.0)]] * K, x, torch.ones(K, B, 1), [dice(k) for k in range(K)])
    torch.testing.assert_close(changed, x)


def test_refuses_trials_with_other_augments():
    x, p = batches()
    with pytest.raises(RecipeError, match=r"3 lists of augments .*flip; noise.* all of the same kinds in the same order"):
        apply_stack([[Noise()], [Flip()], [Noise()]], x, p, [dice(0)] * K)
    with pytest.raises(RecipeError, match="a stack of 3 trials was given 2 lists"):
        apply_stack([[Noise()], [Noise()]], x, p, [dice(0)] * 2)
