"""What other trainers cost for the MLP 784-10-10 at batch 100, in times of a loop by hand; ours beside them.

    python benchmarks/trainers.py [NAME ...]        in the environment of `make peers`; those that are not installed are named

Each sees the same tensors, network (nothing but Linear, ReLU, Linear) and torch.optim.AdamW; what begins and ends a training is taken out: the
figure is the time of a long training less that of a short one, over the steps between. Rounds take turns; median of the ratios in a round.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import loop
import torch
from record import record
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

ROWS, BATCH, ROUNDS = 6000, 100, 5
Fit = Callable[[int], Any]
"""Train so many epochs."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 10))


def adamw(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)


def by_hand(x: Tensor, y: Tensor) -> Fit:
    def fit(epochs: int) -> None:
        net = network()
        optimizer, total = adamw(net), torch.zeros(())
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(net(x.index_select(0, rows)), y.index_select(0, rows))
                loss.backward()
                optimizer.step()
                total.add_(loss.detach())

    return fit


def ours(x: Tensor, y: Tensor) -> Fit:
    run = loop.run_of("mlp")
    run.advance(250)  # the first 200 steps are watched
    return lambda epochs: loop.ours(run)(epochs * len(x) // BATCH)


def dataloader(x: Tensor, y: Tensor) -> Fit:
    def fit(epochs: int) -> None:
        net = network()
        optimizer = adamw(net)
        for _ in range(epochs):
            for a, b in DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(a), b).backward()
                optimizer.step()

    return fit


def lightning(x: Tensor, y: Tensor, bare: bool) -> Fit:
    import lightning as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return adamw(self.net)

    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)

    def fit(epochs: int) -> None:
        with tempfile.TemporaryDirectory() as place:
            L.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=place, **(off if bare else {})).fit(
                Module(), DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
            )

    return fit


def keras(x: Tensor, y: Tensor) -> Fit:
    import keras as K

    a, b = x.numpy(), y.numpy()

    def fit(epochs: int) -> None:
        net = K.Sequential([K.layers.Input((784,)), K.layers.Dense(10, activation="relu"), K.layers.Dense(10)])
        net.compile(optimizer=K.optimizers.AdamW(1e-3), loss=K.losses.SparseCategoricalCrossentropy(from_logits=True))
        net.fit(a, b, batch_size=BATCH, epochs=epochs, verbose=0)

    return fit


def skorch(x: Tensor, y: Tensor) -> Fit:
    from skorch import NeuralNetClassifier

    def fit(epochs: int) -> None:
        NeuralNetClassifier(
            network, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.AdamW, optimizer__fused=True, lr=1e-3, batch_size=BATCH,
            max_epochs=epochs, train_split=None, iterator_train__shuffle=True, verbose=0,
        ).fit(x, y)  # fmt: skip

    return fit


def hugging_face(x: Tensor, y: Tensor) -> Fit:
    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, a: Tensor, labels: Tensor) -> dict[str, Tensor]:
            z = self.net(a)
            return {"loss": F.cross_entropy(z, labels), "logits": z}

    rows = [{"a": one, "labels": label} for one, label in zip(x, y, strict=True)]

    def fit(epochs: int) -> None:
        with tempfile.TemporaryDirectory() as place:
            how = TrainingArguments(
                place, per_device_train_batch_size=BATCH, num_train_epochs=epochs, optim="adamw_torch_fused", learning_rate=1e-3,
                report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            Trainer(Net(), how, train_dataset=rows).train()

    return fit


def ignite(x: Tensor, y: Tensor) -> Fit:
    from ignite.engine import create_supervised_trainer

    def fit(epochs: int) -> None:
        net = network()
        engine = create_supervised_trainer(net, adamw(net), F.cross_entropy)
        engine.run(DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True), max_epochs=epochs)

    return fit


def accelerate(x: Tensor, y: Tensor) -> Fit:
    from accelerate import Accelerator

    def fit(epochs: int) -> None:
        helper, net = Accelerator(cpu=True), network()
        loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
        net, optimizer, loader = helper.prepare(net, adamw(net), loader)
        for _ in range(epochs):
            for a, b in loader:
                optimizer.zero_grad()
                helper.backward(F.cross_entropy(net(a), b))
                optimizer.step()

    return fit


TRAINERS: dict[str, Callable[[Tensor, Tensor], Fit]] = {
    "tuneful, plan=off": ours, "DataLoader": dataloader, "Lightning, bare": lambda x, y: lightning(x, y, True),
    "Lightning": lambda x, y: lightning(x, y, False), "Keras on torch": keras, "skorch": skorch, "HF Trainer": hugging_face,
    "Ignite": ignite, "Accelerate": accelerate,
}  # fmt: skip


def a_step(fit: Fit) -> float:
    """Seconds of the processor: a training of six epochs less one of two, over the steps between."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        times: list[float] = []
        for epochs in (2, 6):
            began = time.thread_time()
            fit(epochs)
            times.append(time.thread_time() - began)
    return (times[1] - times[0]) / (4 * ROWS // BATCH)


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    dice = torch.Generator().manual_seed(0)
    x, y = torch.randn(ROWS, 784, generator=dice), torch.randint(10, (ROWS,), generator=dice)
    fits, absent = {"hand": by_hand(x, y)}, {}
    for name in [word for word in sys.argv[1:] if word in TRAINERS] or TRAINERS:
        try:
            fits[name] = TRAINERS[name](x, y)
            a_step(fits[name])
        except Exception as error:  # a trainer that is not here, or cannot run here, is told
            fits.pop(name, None)
            absent[name] = f"{type(error).__name__}: {error}".splitlines()[0][:160]
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    for _ in range(ROUNDS):
        for name, fit in fits.items():
            seconds[name].append(a_step(fit))
    times = {name: sorted(a / b for a, b in zip(found, seconds["hand"], strict=True)) for name, found in seconds.items()}
    record("trainers", "what trainers cost for a small MLP, in times of a loop by hand", {
        "times": {name: [round(v, 2) for v in (statistics.median(found), found[0], found[-1])] for name, found in times.items()},
        "us_a_step": {name: round(1e6 * statistics.median(found), 1) for name, found in seconds.items()}, "absent": absent,
        "rounds": ROUNDS, "batch": BATCH,
    })  # fmt: skip


if __name__ == "__main__":
    main()
