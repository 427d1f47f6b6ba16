"""Our optimizers and schedules as drop-in objects: in a loop of plain PyTorch, and in Lightning, whose own loop drives them."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from typing import Any

import pytest
import torch
from optimizer_cases import VARIED
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tuneful.techniques.optimizers import AdaBound, AdamW, Muon, ScheduleFreeAdamW
from tuneful.techniques.schedules import WSD, Constant, Cosine, OneCycle

STEPS = 24
DRIVEN = [name for name in VARIED if VARIED[name].kind not in ("lbfgs", "sam", "asam")]  # they ask for gradients themselves


def data() -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=dice)
    return x, (x[:, :1] - 0.5 * x[:, 1:2] + 0.1 * torch.randn(96, 1, generator=dice))


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def plain(settings: Any, schedule: Any) -> tuple[nn.Module, list[float]]:
    """A loop as anybody writes it: zero_grad, backward, step, scheduler.step."""
    net, losses = network(), []
    optimizer = settings.build(net.parameters())
    scheduler = schedule.build(optimizer, steps=STEPS)
    for x, y in _batches():
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return net, losses


def _batches() -> list[tuple[Tensor, Tensor]]:
    x, y = data()
    return [(a, b) for _ in range(4) for a, b in zip(x.split(16), y.split(16), strict=True)]


@pytest.mark.parametrize("name", DRIVEN)
def test_a_plain_loop_needs_nothing_of_ours(name):
    net, losses = plain(VARIED[name], Constant())
    assert len(losses) == STEPS
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), network().parameters(), strict=True))


@pytest.mark.parametrize("schedule", [Cosine(warmup=0.2), OneCycle(), WSD()], ids=lambda one: one.kind)
def test_torchs_own_optimizer_and_scheduler_may_stand_beside_ours(schedule):
    """Our schedule moves torch's AdamW, and torch's LambdaLR moves our AdaBound, to the same rates."""
    net = network()
    theirs = torch.optim.AdamW(net.parameters(), lr=0.1)
    ours = AdaBound(lr=0.1).build(net.parameters())
    one = schedule.build(theirs, steps=STEPS)
    other = torch.optim.lr_scheduler.LambdaLR(ours, lambda step: schedule.factor(min(step, STEPS - 1), STEPS))
    for _ in range(STEPS - 1):
        assert theirs.param_groups[0]["lr"] == pytest.approx(ours.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        ours.step()
        one.step()
        other.step()


def test_amp_scaler_and_clipping_of_torch_take_our_optimizer():
    net = network()
    optimizer = Muon(lr=0.01).build(net)
    scaler = torch.amp.GradScaler("cpu", enabled=True, init_scale=16.0)
    x, y = data()
    before = copy.deepcopy(net.state_dict())
    scaler.scale((net(x) - y).square().mean()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    assert any(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


# ------------------------------------------------------------------------------------------------ Lightning

lightning = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed (extra dev)"
)


def trained(
    settings: Any, schedule: Any, folder: Any, epochs: int = 4, resume: str | None = None
) -> tuple[nn.Module, list[float], Any]:
    """The same training with Lightning's Trainer: automatic optimization, its checkpoint, our optimizer and schedule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightning as L

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = network(), list[float]()

        def training_step(self, batch: Any, index: int) -> Tensor:
            x, y = batch
            loss = (self.net(x) - y).square().mean()
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = settings.build(self.net.parameters())
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule.build(optimizer, steps=STEPS), "interval": "step"},
            }

    module = Module()
    loader = DataLoader(TensorDataset(*data()), batch_size=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and loggers
        trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder)  # fmt: skip
        trainer.fit(module, loader, ckpt_path=resume, **({"weights_only": True} if resume else {}))
    return module.net, module.losses, trainer


@lightning
@pytest.mark.parametrize("settings", [AdaBound(lr=0.02), AdamW(lr=0.02), Muon(lr=0.02), VARIED["soap"], VARIED["prodigy"], VARIED["sam"]],
                         ids=lambda one: one.kind)  # fmt: skip
def test_lightning_trains_to_the_same_weights_as_a_plain_loop(settings, tmp_path):
    schedule = Cosine(warmup=0.2)
    if settings.closure:  # Lightning hands its closure to step(): so does the loop
        net = network()
        optimizer = settings.build(net.parameters())
        scheduler = schedule.build(optimizer, steps=STEPS)
        for x, y in _batches():

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                optimizer.zero_grad()
                loss = (net(x) - y).square().mean()
                loss.backward()
                return loss

            optimizer.step(closure)
            scheduler.step()
    else:
        net, _ = plain(settings, schedule)
    theirs, losses, _ = trained(settings, schedule, tmp_path)
    assert len(losses) == STEPS * (2 if settings.closure else 1)
    for one, other in zip(net.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@lightning
def test_lightning_resumes_our_optimizer_from_its_checkpoint(tmp_path):
    settings, schedule = AdaBound(lr=0.02), Cosine(warmup=0.2)
    whole, _, _ = trained(settings, schedule, tmp_path)
    _, _, half = trained(settings, schedule, tmp_path, epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half.save_checkpoint(tmp_path / "half.ckpt")
    again, _, _ = trained(settings, schedule, tmp_path, resume=str(tmp_path / "half.ckpt"))
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@lightning
def test_schedule_free_is_trained_by_lightning(tmp_path):
    settings = ScheduleFreeAdamW(lr=0.05)
    net, losses, _ = trained(settings, Constant(), tmp_path)
    assert losses[-1] < losses[0]
    assert all(torch.isfinite(p).all() for p in net.parameters())
