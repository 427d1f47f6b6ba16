"""What "auto" means: a choice for each part of a recipe that the user left open, with its reason in words.

Choices follow from the data alone (its kind, shape and size), never from a clock, so that the same data gets the same recipe
on every machine; only `threads` looks at the machine, and says so.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import LISTS, SECTIONS, Recipe
from tuneful.core.task import Task
from tuneful.pipeline import pair_defaults
from tuneful.pipeline.goals import form, goal
from tuneful.techniques.augments import Crop, Flip, Mixup, Rotate, Shift, TimeShift, TrivialAugment
from tuneful.techniques.inits import AsBuilt, He, Whitening, Xavier
from tuneful.techniques.losses import TABLE as LOSSES
from tuneful.techniques.models import GRU, LSTM, MLP, Bag, Conv1d, ConvNet, Evidence, TabM, UNet, make
from tuneful.techniques.models.check import size
from tuneful.techniques.models.features import apart
from tuneful.techniques.optimizers import AdamW
from tuneful.techniques.optimizers.ranges import RANGES
from tuneful.techniques.regularizers import Averaging, Clipping, Dropout, EarlyStopping, Exposure, Smoothing
from tuneful.techniques.schedules import Constant, Linear

ONE_THREAD = 1e8  # multiply-adds a step below which a second thread costs more than it brings (LOG.md)
PAIRS_FROM = 20_000  # texts from which pairs of words have vectors of their own (LOG.md)
CLASSES = 16  # up to which a weight for each n-gram and class is cheap
FEW = 500  # series (or windows of one) below which a run has small batches and many epochs (LOG.md)
PHOTOS = 500  # photographs below which a run is long and every picture is changed much (LOG.md)
NUMBERS = 128  # columns of numbers up to which each is embedded by waves of its own
WAVES = (
    (2_000, 0.1),
    (10_000, 0.3),
    (math.inf, 5.0),
)  # rows below which waves are so fast: few rows bear slow ones (LOG.md)
SPIKES = 64  # values of each number that may be known by themselves, where they recur (LOG.md)
SHORTEST = 16  # moments of a series below which windows that spread see little but the border
SOFT_FROM = 10_000  # images from which labels are smoothed: with few it costs log loss and calibration for nothing (LOG.md)


def choose(section: str, task: Task, recipe: Recipe) -> tuple[Any, str]:
    """(value, reason) for one section or field of a recipe, beside what the recipe settles already."""
    seen = form(task)
    n, images = len(task.train), seen.kind in ("image", "spectrogram")
    series = seen.kind == "series" and task.kind != "forecasting"
    if goal(task).writes:
        memory = _memory(task, recipe) if section == "regularizers" else 0.0
        if (told := pair_defaults.choose(section, task, recipe, memory)) is not None:
            return told
    match section:
        case "model":
            if seen.causal:
                return GRU(
                    embedding=64, width=256
                ), "the answer is what comes next; a recurrent network learns most in short time"
            if seen.each == "place" and images:
                return UNet(), f"each pixel of images of {'x'.join(map(str, seen.shape))} has an answer"
            if seen.each == "place":
                return LSTM(width=64), "each place has an answer, which depends on both sides of it"
            if seen.kind == "grams" and seen.outputs <= CLASSES:
                return (
                    Evidence(),
                    "the examples are texts of few classes: what their words and letters tell is counted, then corrected by learning",
                )
            if seen.kind == "grams":
                return Bag(
                    width=128, ngrams=1
                ), f"the examples are texts of {seen.outputs} classes, whose n-grams share vectors"
            if seen.kind == "tokens":
                if n < PAIRS_FROM:
                    return Bag(
                        ngrams=1
                    ), "the examples are few texts: pairs of words cost six times as much and tell no more"
                return Bag(), "the examples are texts, of which the words and pairs of words tell most"
            if images and min(seen.shape[1:]) >= 4:
                return ConvNet(), f"the network sees {seen.kind}s of {'x'.join(map(str, seen.shape))}"
            if series and seen.shape[1] >= SHORTEST:
                told = "the examples are time series, whose shapes may stand at any moment"
                return Conv1d(width=32, depth=4, window=5, norm="batch", pool="mean"), told
            if seen.kind == "vector" and len(apart(seen.groups, seen.shape[0])[0]) <= NUMBERS:
                waves = next(sigma for most, sigma in WAVES if n < most)
                model = TabM(embedding="periodic", embedding_size=16, frequencies=48, sigma=waves, spikes=SPIKES)
                return (
                    model,
                    "the examples are rows of a table: waves of their numbers see thresholds, values that recur are known by themselves, and members agree on less noise",
                )
            return (
                MLP(),
                f"the examples are {seen.kind if seen.kind == 'series' else 'vectors'} of {math.prod(seen.shape)} numbers",
            )
        case "init":
            if getattr(recipe.model, "kind", "") in ("own", "pretrained"):
                return AsBuilt(), "the network keeps the weights that it comes with"
            if getattr(recipe.model, "kind", "") == "vit":
                return Xavier(), "nothing rectifies what attention adds up"
            if getattr(recipe.model, "kind", "") == "airbench":
                return Whitening(), "its first layer stays as it begins"
            return He(), "the activations are rectified"
        case "loss":
            kind = goal(task).loss
            return LOSSES[kind](), f"it is the usual one of a {task.kind} task"
        case "optimizer":
            if getattr(recipe.model, "kind", "") in ("bag", "evidence"):
                return AdamW(lr=1e-2, decay=0.05), "a word's vector is met in few steps, so these are long"
            if seen.causal and getattr(recipe.model, "kind", "") in ("rnn", "gru", "lstm"):
                return AdamW(lr=4e-3, decay=0.05), "recurrent networks bear long steps, and there are few of them"
            if getattr(recipe.model, "kind", "") == "unet":
                return AdamW(
                    lr=5e-3, decay=0.05
                ), "it needs the least tuning of its rate, and a step sees few images (LOG.md)"
            return AdamW(lr=2e-3, decay=0.05), "it needs the least tuning of its rate"
        case "schedule":
            if getattr(recipe.optimizer, "averages", False):
                return Constant(warmup=0.05), "the optimizer's own average does what a falling rate does"
            return Linear(warmup=0.05), "a linear fall to zero is hard to beat at a fixed length"
        case "regularizers":
            value, reason = _regularizers(task, recipe)
            if not task.outsiders()["train"]:
                return value, reason
            return (Exposure(), *value), f"{reason}; examples of no class in train are to look like all classes alike"
        case "augments":
            return _augments(task, recipe)
        case "batch_size":
            if getattr(recipe.optimizer, "whole", False):
                return n, f"{getattr(recipe.optimizer, 'kind', '')} takes the whole training split as one batch"
            if seen.kind == "series" and n < FEW:
                return min(16, n), f"there are {n} training examples, and small batches find flatter places"
            if task.kind == "segmentation":
                return min(4 if n < 2_000 else 16, n), f"there are {n} training images, of which each pixel is an example"
            batch = 32 if n < 2_000 else 64 if n < 10_000 else 128 if n < 60_000 else 256
            return min(batch, n), f"there are {n} training examples"
        case "epochs":
            if seen.kind == "series" and n < FEW:
                return 150.0, f"there are {n} training examples; an epoch is {-(-n // 16)} steps"
            if _few_photos(task):
                return 150.0, f"there are {n} training images, and each is seen otherwise every time"
            epochs = 60 if n < 2_000 else 40 if n < 10_000 else 20 if n < 60_000 else 12
            return float(epochs), f"there are {n} training examples"
        case "validate_every":
            if recipe.epochs != "auto" and float(recipe.epochs) <= 20:
                return 1.0, "the run has few epochs"
            if (series and n < FEW) or _few_photos(task):
                return 10.0, "an epoch has few steps"
            return 1.0 if n >= 2_000 else 2.0, "a validation costs little beside that many steps"
        case "precision":
            return "fp32", "it is exact everywhere"
    raise KeyError(section)


def _regularizers(task: Task, recipe: Recipe) -> tuple[tuple[Any, ...], str]:
    seen, model = form(task), getattr(recipe.model, "kind", "")
    n, images = len(task.train), seen.kind in ("image", "spectrogram")
    series = seen.kind == "series" and task.kind != "forecasting"
    if getattr(recipe.optimizer, "averages", False):
        return (), "the optimizer's own average is read out"
    average = Averaging(decay=_memory(task, recipe))
    said = "the average over the last twentieth of the steps is read out"
    if images and (not goal(task).blends or n < SOFT_FROM):
        return (average,), said
    if images:
        return (average, Smoothing()), f"{said}; soft labels help on images"
    # Your own network keeps its own dropout, if it has any: there may be no place for ours; a linear one has none.
    own = getattr(recipe.model, "kind", "") in ("own", "pretrained", "linear")
    if series:
        return (average,), f"{said}; few series say little on when to stop"
    if seen.causal:
        return (average, Clipping()), f"{said}; recurrent networks meet steep places"
    if seen.kind in ("tokens", "grams") and not own:
        return (average, Dropout(rate=0.3), EarlyStopping(patience=6)), f"{said}; networks overfit few texts early"
    rate = {"regression": 0.0, "forecasting": 0.3 if model == "mlp" else 0.0}.get(task.kind, 0.1)
    drops = (Dropout(rate=rate),) if rate and not own else ()
    return (average, *drops, EarlyStopping(patience=8)), f"{said}; networks overfit tables early"


def _memory(task: Task, recipe: Recipe) -> float:
    """The decay of an average that remembers about a twentieth of the run, but no less than 10 and no more than 2000 steps."""
    batch = choose("batch_size", task, recipe)[0] if recipe.batch_size == "auto" else recipe.batch_size
    epochs = choose("epochs", task, recipe)[0] if recipe.epochs == "auto" else recipe.epochs
    steps = float(epochs) * max(1, len(task.train) // int(batch))
    return round(1 - 1 / min(max(steps / 20, 10.0), 2000.0), 5)


def _augments(task: Task, recipe: Recipe) -> tuple[tuple[Any, ...], str]:
    seen = form(task)
    if seen.kind == "spectrogram" and len(task.train.x.shape) == 3:  # recordings
        return (TimeShift(),), "a sound is the same a moment later"
    if seen.kind != "image":
        return (), "the examples are not images"
    channels, height, width = seen.shape
    if task.kind == "segmentation":
        return (
            Flip(),
            Rotate(degrees=15),
            Crop(padding=max(1, min(height, width) // 8)),
        ), "masks move along with their images"
    pad = max(1, min(height, width) // 8) if min(height, width) >= 16 else 1
    if channels == 1 and getattr(recipe.model, "kind", "") == "mlp":
        return (Shift(),), "an MLP has to learn each place of a sign; moves between pixels serve it better than whole ones"
    if channels == 1:
        return (Crop(padding=pad),), "grey images may show signs, which a flip would turn into others"
    if _few_photos(task):
        return (
            Flip(),
            Crop(padding=pad),
            TrivialAugment(),
            Mixup(),
        ), "few photographs are learned by heart unless each is changed much"
    return (Flip(), Crop(padding=pad)), "photographs stay what they are when mirrored or moved"


def _few_photos(task: Task) -> bool:
    seen = form(task)
    return seen.kind == "image" and seen.shape[0] == 3 and len(task.train) < PHOTOS and task.kind in ("binary", "multiclass")


def resolve(recipe: Recipe, task: Task) -> Recipe:
    """The recipe with every "auto" replaced by a choice, and the reason noted."""
    for section in ("batch_size", "epochs", "validate_every", "precision", *SECTIONS, *LISTS):
        if getattr(recipe, section) == "auto":
            value, reason = choose(section, task, recipe)
            recipe = recipe.replace(section, value).because(section, reason)
    if recipe.batch_size != "auto" and recipe.batch_size > len(task.train):
        recipe = recipe.replace("batch_size", len(task.train)).because(
            "batch_size", f"there are only {len(task.train)} training examples, so {recipe.batch_size} became all of them"
        )
    if unsaved := getattr(recipe.optimizer, "unsaved", ""):
        raise RecipeError(
            f"optimizer {getattr(recipe.optimizer, 'kind', '')} cannot train a run: {unsaved}",
            "use it in a loop of your own, or write optimizer=adamw",
        )
    if getattr(recipe.optimizer, "whole", False) and recipe.batch_size != len(task.train):
        kind = getattr(recipe.optimizer, "kind", "")
        raise RecipeError(
            f"batch_size is {recipe.batch_size}; optimizer {kind} takes the whole training split, {len(task.train)} examples, as one",
            f"leave batch_size out{'; on smaller batches the method is called sgd' if kind == 'gd' else ''}",
        )
    if recipe.threads == "auto":
        threads, reason = _threads(recipe, task)
        recipe = recipe.replace("threads", threads).because("threads", reason)
    return recipe


def _threads(recipe: Recipe, task: Task) -> tuple[int, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with torch.device("meta"):
        net: Any = recipe.model
        ends = form(task)
        work = size(make(net, ends), ends).multiply_adds * int(recipe.batch_size)
    if work < ONE_THREAD or cores == 1:
        return 1, f"a step is {work:.2g} multiply-adds, too few to share among {cores} cores"
    return cores, f"a step is {work:.2g} multiply-adds, enough for all {cores} cores of this machine"


def patient(task: Task) -> bool:
    """Is a long training worth more than a choice among short ones? Of few series, images or masks it is, and of texts (LOG.md)."""
    seen = form(task)
    return seen.causal or (seen.kind in ("series", "image") and len(task.train) < FEW)


def dials(task: Task, recipe: Recipe) -> dict[str, str]:
    """What `tuneful optimize` varies when the user names no range: {key: range}, around the defaults."""
    found = {"optimizer.lr": "3e-4..3e-2", "optimizer.decay": "1e-3..0.3"}
    if (chosen := getattr(recipe.optimizer, "kind", "adamw")) != "adamw" and chosen in RANGES:
        found = {f"optimizer.{name}": RANGES[chosen][name] for name in ("lr", "decay") if name in RANGES[chosen]}
    kind = getattr(recipe.model, "kind", "")
    if kind == "convnet":
        found["model.width"] = "16..64"
    if kind == "unet":
        found["model.width"] = "8..32"
    if kind == "mlp":
        found |= {"model.width": "32..512", "model.depth": "1..4", "regularizers.dropout.rate": "0..0.5"}
    if kind == "tabm":
        found |= {"model.sigma": "0.03..30", "regularizers.dropout.rate": "0..0.5"}
    if kind == "conv1d" and form(task).kind == "series":
        found["model.width"] = "16..64"
    if kind == "evidence" or (kind == "bag" and form(task).kind == "grams"):
        found |= {"regularizers.dropout.rate": "0..0.6"}
    elif kind == "bag":
        found |= {"model.ngrams": "1..2", "regularizers.dropout.rate": "0..0.6"}
    if goal(task).writes:
        return {"optimizer.lr": "1e-3..1e-2", "regularizers.dropout.rate": "0.05..0.4"}
    if form(task).causal:
        return {"optimizer.lr": "1e-3..1e-2"}
    if len(task.train) >= 2_000:
        found["batch_size"] = ",".join(str(b) for b in (64, 128, 256) if b <= len(task.train) // 8)
    if task.kind != "regression" and form(task).kind == "image" and len(task.train) >= SOFT_FROM:
        found["regularizers.smoothing.amount"] = "0..0.2"
    return found
