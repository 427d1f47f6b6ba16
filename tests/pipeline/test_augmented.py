"""One batch on its way to the network: what acts before the front, what after it, and what becomes of its targets."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.step import augmented
from tuneful.techniques.augments import Background, Mixup, SpecAugment, TokenMask

PLAIN = Recipe(regularizers=())


class Energy(nn.Module):
    """Sounds [B, 1, 120] as spectrograms [B, 1, 10, 12], and a memory of what it was given."""

    def forward(self, x: Tensor) -> Tensor:
        self.given = x
        return x.unflatten(-1, (10, 12)) + 100


def test_background_reaches_the_recording_and_specaugment_the_spectrogram(stripes: Task):
    seen = {"kind": "spectrogram", "shape": [1, 10, 12]}
    sounds = replace(stripes, shape=(1, 120), schema={"seen": seen})
    x, y = torch.randn(4, 1, 120), torch.tensor([0, 1, 0, 1])
    front = Energy()
    plan = PLAIN.replace(augments=(SpecAugment(height=0.5, width=0.5), Background(snr=0.0, spread=0.0)))
    changed, _ = augmented(x, y, sounds, plan, 3, front)
    noise = front.given - x
    torch.testing.assert_close(noise.square().mean((1, 2)), x.square().mean((1, 2)))  # 0 dB: as loud as the sound
    assert changed.shape == (4, 1, 10, 12)
    hidden = changed == 0
    assert bool(hidden.any())
    assert torch.equal(changed[~hidden], front(front.given)[~hidden])


def test_tokens_keep_their_type_and_their_targets_become_probabilities(stripes: Task):
    texts = replace(stripes, shape=(6,), schema={"kind": "tokens", "vocabulary": 50})
    x = torch.randint(2, 50, (8, 6))
    plan = PLAIN.replace(augments=(TokenMask(share=0.5),))
    changed, p = augmented(x, torch.arange(8) % 2, texts, plan, 0, nn.Identity())
    assert changed.dtype == torch.int64
    assert p.dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones(8))


def test_a_label_that_is_not_known_is_not_known_after_a_blend(stripes: Task):
    many = replace(stripes, kind="multilabel", labels=("a", "b"), shape=(3,), schema={"kind": "table"})
    y = torch.tensor([[1.0, -1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    x = torch.eye(4)[:, :3]
    plan = PLAIN.replace(augments=(Mixup(alpha=1.0),))
    for step in range(20):
        _, p = augmented(x, y, many, plan, step, nn.Identity())
        assert bool(((p == -1) | ((p >= 0) & (p <= 1))).all())
        assert 1 <= int((p[:, 1] == -1).sum()) <= 2  # the example itself, and the one it was blended into
    kept, p = augmented(x, y, many, PLAIN.replace(augments=()), 0, nn.Identity())
    assert torch.equal(kept, x)
    assert torch.equal(p, y)
