"""A run that begins as a grown copy of another trial's network: the parent's state is kept for it, and then grown into its own shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneful.core.chance import key
from tuneful.core.errors import ModelError, StateError
from tuneful.core.recipe import Recipe
from tuneful.core.task import Task
from tuneful.pipeline.train import Run
from tuneful.techniques.models.morph import grow_


def grown(run: Run, task: Task, recipe: Recipe, source: Path, *, number: int, model: Any = None) -> Run:
    """The run, which has not begun, with the weights of the parent whose state lies at `source`. number: of the parent, for the sentence.

    Raises ModelError where the state is lost, or does not fit.
    """
    try:
        parent = Run.resume(task, source, model=model, device="cpu")
    except StateError as error:
        raise ModelError(f"it is grown from trial {number}, whose state is lost: {error.message}") from error
    old: Any = parent.candidate()
    large: Any = run.recipe
    sample = run.batches.ready(0, run.network.front)[0]
    body = run.body.to("cpu")
    grow_(body, large.model, old.network.body, old.recipe.model, sample.to("cpu"), seed=key(run.recipe.seed, "grow", number))
    run.body.to(run.device)
    tensors, plain = run.state()
    weights = {name.removeprefix("net."): tensor for name, tensor in tensors.items() if name.startswith("net.")}
    for name in [
        name for name in tensors if name.startswith("avg.")
    ]:  # averages begin at the new weights, not at the drawn ones
        if (weight := weights.get(name.split(".", 2)[2])) is not None and weight.shape == tensors[name].shape:
            tensors[name] = weight.clone()
    run.put(tensors, plain, f"the network grown from trial {number}")
    run.notes.append(f"it began as trial {number} had come to be after {parent.epoch:.3g} epochs, grown")
    return run


__all__ = ["grown"]
