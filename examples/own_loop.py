"""Parts of tuneful in your own loop: its optimizers, schedules and doctor in plain PyTorch, and its training as an iterator.

    python examples/own_loop.py

Nothing here writes into runs/.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import tuneful
from tuneful.techniques.models import MLP
from tuneful.techniques.optimizers import AdaBound
from tuneful.techniques.schedules import Cosine


def plain_pytorch(epochs: int = 10) -> float:
    """AdaBound is a torch.optim.Optimizer like any other, and a schedule a torch.optim.lr_scheduler: state_dict and all the rest
    work, also beside torch's own.

    Returns: the mean loss of the last epoch.
    """
    torch.manual_seed(0)
    x, y = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    x = x.float() / 16
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = AdaBound(lr=1e-2, final_lr=0.1).build(network.parameters())
    scheduler = Cosine(warmup=0.1).build(optimizer, steps=epochs * math.ceil(len(x) / 64))
    watch = tuneful.doctor(network, optimizer, steps=200)  # looks at the first 200 steps
    losses: list[float] = []
    for _ in range(epochs):
        losses.clear()
        for part in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x[part]), y[part])
            loss.backward()
            optimizer.step()
            scheduler.step()
            watch.step(loss, y[part])
            losses.append(loss.item())
    print(f"the doctor says: {watch}")
    return sum(losses) / len(losses)


def run_as_iterator(epochs: float = 20.0, enough: float = 0.95) -> tuneful.Candidate:
    """A run yields a point at every validation. What would be a callback elsewhere is a line in the loop here."""
    task = tuneful.prepare("digits")
    recipe = tuneful.Recipe(model=MLP(width=64), optimizer=AdaBound(lr=3e-3), regularizers=(), augments=(), epochs=epochs)
    run = tuneful.Run(task, recipe)  # what the recipe leaves "auto" is chosen for the data
    for point in run:
        print(f"epoch {point.epoch:g}: loss {point.train_loss:.3f}, accuracy {point.value}")
        if point.value.low > enough:  # the whole interval lies above it
            break

    # A run can be put aside at any step and goes on bit for bit, here or in another process.
    with TemporaryDirectory() as folder:
        run.save(Path(folder) / "state.safetensors")
        run = tuneful.Run.resume(task, Path(folder) / "state.safetensors")
    for point in run:
        print(f"epoch {point.epoch:g}: loss {point.train_loss:.3f}, accuracy {point.value}")
    print(run.ended)
    return run.candidate()


def main(epochs: str = "20") -> None:
    """Both, one after the other."""
    print(f"plain PyTorch with AdaBound: loss {plain_pytorch():.3f}")
    run_as_iterator(float(epochs))


if __name__ == "__main__":
    main(*sys.argv[1:2])
