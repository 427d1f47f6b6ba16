"""The loop: it learns, it stops for the right reason, and it goes on exactly where it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tuneful.core.errors import ModelError, RecipeError, StateError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import calls, judge
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.train import Run
from tuneful.techniques.models import Own


def made(task, **settings):
    recipe, space = from_mapping({"epochs": 3, "batch_size": 32, "validate_every": 1, "threads": 1, **settings}, task)
    assert len(space) == 0
    return recipe


def trained(task, **settings):
    run = Run(task, made(task, **settings))
    for _ in run:
        pass
    return run.candidate()


def weights(run):
    return {**run.network.state_dict(), **{f"read.{k}": v for k, v in run.readout.state_dict().items()}}


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "adabound"])
def test_learns_classes_with_every_optimizer(flowers, optimizer):
    settings = {"optimizer": optimizer, "epochs": 8, "model": "mlp", "width": 16}
    settings["lr"] = 1e-2
    if optimizer in ("sgd", "momentum"):
        settings["lr"] = 0.1
    run = Run(flowers, made(flowers, **settings))
    points = list(run)
    assert points[-1].value.value > 0.85
    assert run.ended == "all 8 epochs are done"
    assert [p.epoch for p in points] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_learns_numbers_and_gives_them_in_their_own_unit(houses):
    candidate = trained(houses, epochs=20, lr=1e-2, width=32)
    predicted = judge.predict(candidate.network, houses.valid.x)
    assert abs(predicted.mean() - 5000) < 300
    assert candidate.value.value < 0.5 * houses.valid.y.std()


def test_learns_images_from_bytes(stripes):
    candidate = trained(stripes, model="convnet", width=8, epochs=8, batch_size=16, lr=1e-2)
    assert candidate.value.value > 0.95


AUGMENTED = {
    "model": "convnet", "width": 4, "dropout": 0.3, "smoothing": 0.1, "averaging": 0.9, "clipping": 1.0, "l1": 1e-5, "l2": 1e-4,
    "crop": 1, "flip": 0.5, "noise": 0.1, "mixup": 0.2, "shift": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "adabound"])
def test_goes_on_bit_by_bit_after_a_stop_at_any_step(stripes, tmp_path, optimizer):
    recipe = made(stripes, optimizer=optimizer, **AUGMENTED)
    whole = Run(stripes, recipe)
    curve = list(whole)
    for stop in (1, 4, 5, 9, 14):  # in the middle of epochs and at their ends
        path = tmp_path / f"{stop}.safetensors"
        run = Run(stripes, recipe)
        while run.step < stop:
            run._one_step()
            if run.batches.due(run.step, recipe.validate_every):
                run.look()
        run.save(path)
        torch.manual_seed(stop)  # whatever else draws numbers in between
        again = Run.resume(stripes, path)
        list(again)
        assert same(weights(again), weights(whole)), f"stopped at step {stop}"
        assert [(p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in again.curve] == [
            (p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in curve
        ]


def test_a_plateau_lowers_the_rate_and_goes_on_bit_by_bit(flowers, tmp_path):
    settings = {
        "schedule": "plateau",
        "schedule.patience": 0,
        "schedule.gamma": 0.5,
        "schedule.threshold": 0.05,
        "epochs": 8,
    }
    whole = Run(flowers, made(flowers, **settings))
    rates = [point.lr for point in whole]
    assert rates[0] == whole.recipe.optimizer.lr
    assert rates[-1] <= rates[0] / 8
    run = Run(flowers, made(flowers, **settings))
    for _ in range(4):
        next(iter(run))
    run.save(tmp_path / "state.safetensors")
    again = Run.resume(flowers, tmp_path / "state.safetensors")
    assert [point.lr for point in again] == rates[4:]
    assert same(weights(again), weights(whole))


def test_another_seed_is_another_run_and_the_same_seed_the_same(stripes):
    runs = [Run(stripes, made(stripes, seed=seed, **AUGMENTED)) for seed in (0, 0, 1)]
    for run in runs:
        list(run)
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def test_a_halt_stops_after_the_step_at_hand_and_iterating_again_goes_on(flowers):
    halt = Halt()
    run = Run(flowers, made(flowers), halt=halt)
    for _ in run:
        halt.requested = True
    assert (run.step, run.ended) == (9, "")
    halt.requested = False
    assert [point.step for point in run] == [18, 27]


def test_a_state_of_other_data_or_with_damage_is_refused(flowers, stripes, tmp_path):
    run = Run(flowers, made(flowers))
    next(iter(run))
    path = tmp_path / "state.safetensors"
    run.save(path)
    with pytest.raises(StateError, match=r"was made with other data \(fingerprint 111111111111, now 333333333333\)"):
        Run.resume(stripes, path)
    whole = path.read_bytes()
    for damaged in (whole[:-10], whole[: len(whole) // 2], b"", whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:]):
        path.write_bytes(damaged)
        with pytest.raises(StateError, match="is damaged"):
            Run.resume(flowers, path)
    path.unlink()
    with pytest.raises(StateError, match="there is no saved state"):
        Run.resume(flowers, path)


def test_a_loss_that_explodes_or_is_no_number_ends_the_run_with_its_reason(houses):
    run = Run(houses, made(houses, optimizer="sgd", lr=1e6, epochs=30, averaging="off", schedule="constant"))
    list(run)
    assert run.ended.startswith("diverged: the ")
    assert run.step < run.steps


def test_early_stopping_keeps_the_best_point(flowers):
    run = Run(flowers, made(flowers, epochs=60, lr=0.05, early_stopping=3, averaging="off"))
    points = list(run)
    assert run.ended.startswith("stopped early: no improvement on")
    best = max(range(len(points)), key=lambda k: (points[k].value.value, -k))
    assert len(points) == best + 1 + 3
    candidate = run.candidate()
    assert judge.value("accuracy", judge.predict(candidate.network, flowers.valid.x), flowers.valid.y) == points[best].value


class Greedy(nn.Module):
    """Runs out of memory when more than four examples come at once."""

    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(5, outputs)

    def forward(self, x):
        if self.training and len(x) > 4:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
            )
        return self.layer(x)


class Modest(Greedy):
    def forward(self, x):
        return self.layer(x)


def greedy(inputs, outputs):
    return Greedy(outputs)


def modest(inputs, outputs):
    return Modest(outputs)


def test_when_memory_runs_out_the_batch_goes_in_parts_to_the_same_result(flowers):
    settings = {"batch_size": 32, "epochs": 2, "optimizer": "sgd", "lr": 0.1, "dropout": "off", "threads": 1}
    runs = []
    for factory in (greedy, modest):
        recipe, _ = from_mapping(settings, flowers, Recipe(model=Own.of(factory)))
        runs.append(Run(flowers, recipe))
        list(runs[-1])
    assert runs[0].micro == 8
    said = [note for point in runs[0].curve for note in point.notes]
    assert said[-1] == "memory ran out in step 0: a batch of 32 now goes in 8 parts whose gradients are added up"
    torch.testing.assert_close(runs[0].network.state_dict(), runs[1].network.state_dict(), rtol=1e-5, atol=1e-6)


def never(inputs, outputs):
    net = Greedy(outputs)
    net.forward = lambda x: (_ for _ in ()).throw(MemoryError()) if net.training else net.layer(x)
    return net


def test_memory_that_does_not_hold_one_example_ends_the_run(flowers):
    recipe, _ = from_mapping(
        {"batch_size": 4, "epochs": 1, "dropout": "off", "threads": 1}, flowers, Recipe(model=Own.of(never))
    )
    run = Run(flowers, recipe)
    assert list(run) == []
    assert run.ended == "failed: memory ran out in step 0 with one example at a time"


def broken(inputs, outputs):
    net = Modest(outputs)
    net.forward = lambda x: net.layer(x) / (0 if net.training and len(x) == 32 else 1) if not net.training else _fail()
    return net


def _fail():
    raise RuntimeError("a fault of the user's own")


def test_a_network_that_fails_is_named_with_its_error(flowers):
    recipe, _ = from_mapping({"batch_size": 32, "dropout": "off", "threads": 1}, flowers, Recipe(model=Own.of(broken)))
    with pytest.raises(ModelError, match=r"the network failed in step 0: RuntimeError: a fault of the user's own"):
        list(Run(flowers, recipe))


def test_ranges_and_augments_that_do_not_fit_are_refused(flowers):
    said = r"train takes one value for each setting; optimizer.lr=0.0001..0.1 is a range\n  hint: use `tuneful tune`"
    with pytest.raises(RecipeError, match=said):
        calls.train("digits", lr="1e-4..1e-1")
    with pytest.raises(RecipeError, match=r"augments.flip takes image data; these are vector of 5"):
        Run(flowers, made(flowers, flip=0.5))


def test_the_curve_tells_the_loss_of_the_steps_since_the_last_point(flowers):
    run = Run(flowers, made(flowers, epochs=2, averaging="off", dropout="off", lr=1e-9))
    first, second = list(run)
    assert math.isclose(first.train_loss, second.train_loss, rel_tol=0.1)
    logits = run.network.eval()(torch.from_numpy(flowers.train.x[:288]))
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(flowers.train.y[:288])).item()
    assert math.isclose(second.train_loss, expected, rel_tol=0.1)
    assert np.isclose(first.value.value, second.value.value)


def test_leaves_the_arithmetic_of_the_process_as_it_was(flowers):
    def setting():
        return torch.get_num_threads(), float(torch.tensor(1e-40) * 1) > 0

    before = setting()
    run = Run(flowers, made(flowers, threads=before[0] + 1))
    for _ in run:
        assert setting() == (before[0] + 1, False)
    run.timed(1, 0.0)
    assert setting() == before
