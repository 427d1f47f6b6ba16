"""Segmentation: metrics and losses against scikit-learn, masks that move with their images, Otsu's threshold by its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, log_loss
from torch.nn import functional as F

from tuneful.core.errors import RecipeError
from tuneful.core.form import Form
from tuneful.pipeline import pixelwise
from tuneful.pipeline.judge import compare, measures, score, value
from tuneful.techniques.augments import CutMix, Flip, Mixup, RandAugment, Rotate, Zoom, apply, fit
from tuneful.techniques.losses import CrossEntropy, Dice


def made(n: int = 6, side: int = 12, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, side, side, classes] and class numbers that they half know; a few are unknown."""
    dice = np.random.default_rng(seed)
    y = dice.integers(0, classes, (n, side, side))
    z = dice.normal(size=(n, side, side, classes)) + 1.5 * np.eye(classes)[y]
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    y[0, :3] = -1
    return p.astype(np.float32), y.astype(np.int16)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_are_scikit_learns_on_the_pixels_that_are_known(classes: int):
    p, y = made(classes=classes)
    there = y >= 0
    true, called = y[there].astype(int), p.argmax(-1)[there]
    assert score("pixel_accuracy", p, y) == pytest.approx((true == called).mean())
    assert score("mean_iou", p, y) == pytest.approx(jaccard_score(true, called, average="macro"))
    wanted = f1_score(true, called) if classes == 2 else f1_score(true, called, average="macro")
    assert score("dice", p, y) == pytest.approx(wanted)
    assert score("pixel_log_loss", p, y) == pytest.approx(log_loss(true, p[there], labels=range(classes)), rel=1e-5)


def test_a_class_that_is_nowhere_has_no_part_in_the_mean():
    p, y = made(classes=3)
    wide = np.concatenate([p, np.zeros_like(p[..., :1])], axis=-1)
    assert score("mean_iou", wide, y) == pytest.approx(score("mean_iou", p, y))


def test_intervals_are_over_images_and_hold_the_value():
    """Ten times the same image tells no more than one: the interval must not shrink with the number of pixels."""
    p, y = made(n=12)
    for name, found in measures(["mean_iou", "dice", "pixel_accuracy", "pixel_log_loss"], p, y).items():
        assert found.n == 12
        assert found.low <= found.value <= found.high
        quick = value(name, p, y)
        assert quick.value == pytest.approx(found.value)
        assert quick.high - quick.low == pytest.approx(found.high - found.low, rel=0.5)
    fine = measures(["pixel_accuracy"], p.repeat(4, axis=1), y.repeat(4, axis=1))["pixel_accuracy"]
    once = measures(["pixel_accuracy"], p, y)["pixel_accuracy"]
    assert fine.high - fine.low == pytest.approx(once.high - once.low)
    better = p.copy()
    better[..., 0] *= 0.5
    assert compare("mean_iou", p, better, y).difference.value == pytest.approx(
        score("mean_iou", p, y) - score("mean_iou", better, y)
    )


def test_dice_is_its_formula_and_adds_up_over_parts_of_a_batch():
    p, y = made(classes=3)
    z, target = torch.from_numpy(np.log(p)).double(), torch.from_numpy(y).long()
    loss = Dice()
    mean = loss.total(z, target, None) / loss.weight(target, None)
    parts = sum(loss.total(a, b, None) for a, b in zip(z.chunk(3), target.chunk(3))) / loss.weight(target, None)
    torch.testing.assert_close(parts, mean)
    wanted = []
    for q, true in zip(p.astype(np.float64), y):
        known = true >= 0
        q, true = q[known], true[known].astype(int)
        hot = np.eye(3)[true]
        overlap = (2 * (q * hot).sum(0) + 1) / (q.sum(0) + hot.sum(0) + 1)
        wanted.append(0.5 * -np.log(q[np.arange(len(q)), true]).mean() + 0.5 * (1 - overlap.mean()))
    assert float(mean) == pytest.approx(np.mean(wanted), rel=1e-6)


def test_dice_without_a_share_is_torchs_cross_entropy_and_of_two_classes_looks_at_the_second():
    p, y = made(classes=2)
    z, target = torch.from_numpy(np.log(p)), torch.from_numpy(y).long()
    target[0] = target[1]  # all known: the mean over images is that over pixels
    plain = Dice(share=0.0).total(z, target, None) / len(z)
    torch.testing.assert_close(plain, F.cross_entropy(z.permute(0, 3, 1, 2), target))
    torch.testing.assert_close(CrossEntropy().total(z, target, None) / CrossEntropy().weight(target, None), plain)
    empty = torch.zeros_like(target)
    sure = torch.stack([torch.full_like(target, 30.0, dtype=torch.float32), torch.zeros(target.shape)], -1)
    assert float(Dice(share=1.0).total(sure, empty, None)) == pytest.approx(0.0, abs=1e-5)
    unknown = torch.full_like(target, -1)
    assert float(Dice().total(z, unknown, None)) == 0.0
    assert int(Dice().weight(unknown, None)) == 0


def test_masks_move_with_their_images():
    dice = [torch.Generator().manual_seed(3)]
    y = torch.randint(-1, 5, (8, 9, 7), generator=torch.Generator().manual_seed(1))
    x = y[:, None].float()
    moved, mask = apply([Flip()], x, y, dice)
    assert mask.dtype == torch.int64
    assert torch.equal(moved[:, 0], mask.float())
    assert not torch.equal(mask, y)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disk = ((rows - 30) ** 2 + (columns - 40) ** 2 < 150).long().expand(16, 64, 64)
    image = disk[:, None].float()
    for chosen in ([Rotate(degrees=90), Zoom(amount=0.3)], [RandAugment(strength=1.0)]):
        moved, mask = apply(chosen, image, disk, [torch.Generator().manual_seed(5 + k) for k in range(len(chosen))])
        assert set(mask.unique().tolist()) <= {0, 1}
        if len(chosen) == 2:
            agree = ((moved[:, 0] > 0.5) == (mask == 1)).float().mean()
            assert agree > 0.99
            assert ((mask == 1).sum((1, 2)) > 0).all()
            assert not torch.equal(mask, disk)
    labels = torch.arange(8) % 3
    assert torch.equal(apply([Flip()], x, labels, [torch.Generator()])[1], labels)


def test_blends_are_refused_for_masks_and_moves_are_not():
    form = Form("image", (3, 16, 16), 2, "place")
    assert len(fit([Flip(), Rotate(), RandAugment()], form)) == 3
    with pytest.raises(RecipeError, match=r"augments.mixup blends images, and the targets of pixels are classes"):
        fit([Mixup()], form)
    with pytest.raises(RecipeError, match="cutmix"):
        fit([CutMix()], form)


def test_otsu_cuts_where_the_variance_within_both_sides_is_least():
    """Eq. 14 says largest between; least within is the same, and is worked out here by trying every cut."""
    dice = np.random.default_rng(0)
    grey = np.concatenate([dice.normal(60, 12, 900), dice.normal(170, 20, 300)]).clip(0, 255)
    tried = np.linspace(grey.min(), grey.max(), 257)[1:-1]
    within = [(grey <= t).mean() * grey[grey <= t].var() + (grey > t).mean() * grey[grey > t].var() for t in tried]
    best = tried[int(np.argmin(within))]
    found = pixelwise.threshold(grey.reshape(30, 40))
    low, high = (grey[grey <= best].max(), grey[grey > best].min())  # any cut between these two is as good
    assert low - 0.9 <= found <= high + 0.9
    assert pixelwise.threshold(np.full((5, 5), 3.0)) == pytest.approx(3.0, abs=1.0)
