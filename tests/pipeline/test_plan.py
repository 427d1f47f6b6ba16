"""The execution plan: what it measures, what it refuses, and that the run is where it was; and runs that change their way."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import nn

from tuneful.core.execution import Execution
from tuneful.core.recipe import Recipe
from tuneful.pipeline import carrying, plan, plans, ways
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.plan import Plan, planned
from tuneful.pipeline.plans import Plans, signature
from tuneful.pipeline.train import Run
from tuneful.techniques.models import Own

BF16 = carrying.native(torch.device("cpu"))


def made(task, **settings):
    recipe, _ = from_mapping({"epochs": 4, "batch_size": 32, "validate_every": 1, "threads": 1, **settings}, task)
    return resolve(recipe, task)


def own(task, net, **settings):
    known = {"epochs": 4.0, "batch_size": 32, "validate_every": 1.0, "threads": 1, "regularizers": (), "augments": ()}
    return resolve(Recipe(model=Own.of(net), **{**known, **settings}), task)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(8 * 36, 2),
    )  # fmt: skip


class Viewed(nn.Module):
    """A network whose view fails when its maps do not lie row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 144, 2)

    def forward(self, x):
        return self.head(self.maps(x).view(len(x), -1))


class Crooked(nn.Module):
    """Something else under autocast than without."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(144, 2)

    def forward(self, x):
        z = self.head(x.flatten(1))
        return z * 3 if torch.is_autocast_enabled("cpu") else z


def broken(after: int, always: bool = False) -> nn.Module:
    """Gives no number under autocast (or always) from a training step on."""

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(5, 3)
            self.register_buffer("passes", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            if self.training:
                self.passes += 1
            z = self.head(x)
            return z * math.nan if (always or torch.is_autocast_enabled("cpu")) and self.passes > after else z

    return Broken()


@pytest.fixture
def paying(monkeypatch):
    """Planning may take longer than these short runs could pay for."""
    monkeypatch.setattr(plan, "LEAST", 0.0)
    monkeypatch.setattr(plan, "SHARE", 1e6)
    monkeypatch.setattr(ways, "COMPILING", {"cpu": math.inf})  # but not that long


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def kept(run):
    tensors, plain = run.state()
    return {name: tensor.clone() for name, tensor in tensors.items()}, copy.deepcopy(plain)


def by_way(found: Plan, word: str):
    return [one for one in found.tried if word in one.way]


def test_the_run_is_where_it_was(stripes, paying):
    run, other = (Run(stripes, made(stripes, model="convnet", width=4, dropout=0.1), device="cpu") for _ in range(2))
    before, told = kept(run)
    found = planned(run)
    after, now = kept(run)
    assert same(before, after)
    assert {**now, "execution": 0, "micro": 0} == {**told, "execution": 0, "micro": 0}
    assert run.execution == found.chosen
    assert [one.verdict for one in found.tried].count("chosen") == 1
    assert all(one.why for one in found.tried)
    other.use(found.chosen)
    assert [p.train_loss for p in run] == [p.train_loss for p in other]
    assert same(run.state()[0], other.state()[0])


def test_each_way_is_told_with_its_time_and_held_against_fp32(stripes, paying):
    run = Run(stripes, own(stripes, convolutions), device="cpu")
    found = planned(run)
    timed = [one for one in found.tried if one.ms is not None]
    assert str(Execution()) in {one.way for one in timed}
    # Each way is made of the best so far, and which that is depends on the machine: channels last may stand beside bf16.
    assert [one for one in by_way(found, "channels last") if one.ms is not None]
    assert all(
        one.ms > 0 and one.loss <= plan.LOSSES and one.cosine > plan.GRADIENTS for one in timed if one.verdict != "rejected"
    )
    untried = {one.way: one.why for one in found.tried if one.verdict == "not tried"}
    assert untried["CUDA graph"] == "CUDA graphs need a GPU"
    assert found.saved > 32 * 8 * 144 * 4  # at least the first maps of the batch
    assert Plan.from_data(json.loads(json.dumps(found.as_data()))) == found


def test_a_network_that_needs_rows_is_not_laid_out_otherwise(stripes, paying):
    found = planned(Run(stripes, own(stripes, Viewed), device="cpu"))
    refused = by_way(found, "channels last")
    assert refused
    assert all(one.verdict == "rejected" and "view" in one.why for one in refused)
    assert found.chosen.layout == "rows"


@pytest.mark.skipif(not BF16, reason="this processor would emulate bf16, which is then not tried")
def test_a_way_whose_losses_are_others_is_rejected_with_the_figure(stripes, paying):
    found = planned(Run(stripes, own(stripes, Crooked), device="cpu"))
    refused = by_way(found, "bf16")
    assert refused
    assert all(one.verdict == "rejected" and one.loss > plan.LOSSES and "%" in one.why for one in refused)
    assert found.chosen.precision == "fp32"


@pytest.mark.skipif(not BF16, reason="this processor would emulate bf16")
@pytest.mark.parametrize("network", [convolutions, Crooked])
def test_a_precision_that_is_asked_for_stays_and_is_measured_like_the_others(stripes, paying, network):
    recipe = own(stripes, network, precision="bf16")
    found = planned(Run(stripes, recipe, device="cpu"))
    chosen = next(one for one in found.tried if one.verdict == "chosen")
    assert found.chosen.precision == "bf16"
    assert "bf16" in chosen.way
    assert chosen.ms != found.tried[0].ms  # its own time, and not that of fp32
    assert (chosen.loss > plan.LOSSES) is (network is Crooked)
    assert ("bf16 is asked for, though its losses lie" in chosen.why) is (network is Crooked)


def test_values_keep_their_digits(houses, paying):
    found = planned(Run(houses, made(houses, model="mlp"), device="cpu"))
    assert [one.why for one in by_way(found, "bf16")] == ["the answers are values, of which bf16 keeps three digits"]


@pytest.mark.parametrize("words", [{"plan": "off"}, {"precision": "fp32"}])
def test_the_plain_loop_is_not_measured(stripes, paying, words):
    run = Run(stripes, made(stripes, **words), device="cpu")
    start = run.execution
    found = planned(run)
    assert found.tried == ()
    assert found.why
    assert found.chosen == start == Execution(threads=1)
    again = Run(stripes, made(stripes, plan="on", precision="fp32"), device="cpu")
    assert all("bf16" not in one.way or one.verdict == "not tried" for one in planned(again).tried)


def test_a_run_that_is_short_does_not_pay_for_a_plan(stripes):
    found = planned(Run(stripes, made(stripes), device="cpu"))
    assert "too few to pay for a plan" in found.why
    assert found.tried == ()


def test_a_plan_is_kept_for_the_same_network_batch_and_machine(stripes, paying, tmp_path, monkeypatch):
    recipe = own(stripes, convolutions)
    first = Plans(tmp_path).of(Run(stripes, recipe, device="cpu"))
    monkeypatch.setattr(plans, "planned", lambda *_, **__: pytest.fail("it is known"))
    run = Run(stripes, recipe.replace("optimizer.lr", 0.5), device="cpu")
    again = Plans(tmp_path).of(run)
    assert again.cached
    assert again.chosen == first.chosen == run.execution
    names = {signature(Run(stripes, r, device="cpu")) for r in (recipe, recipe.replace(batch_size=16), own(stripes, Viewed))}
    assert len(names) == 3


def test_resume_goes_on_as_before_or_says_what_is_otherwise(flowers, tmp_path):
    recipe = made(flowers, model="mlp")
    run = Run(flowers, recipe, device="cpu", execution=Execution(precision="bf16"))
    run.advance(7)
    run.save(tmp_path / "state")
    same_way = Run.resume(flowers, tmp_path / "state", device="cpu")
    assert (same_way.execution.precision, same_way.notes) == (
        "bf16" if BF16 else "fp32",
        run.notes if BF16 else same_way.notes,
    )
    other = Run.resume(flowers, tmp_path / "state", device="cpu", execution=Execution())
    assert other.notes[-1] == (
        "from step 7 on it is computed otherwise, with rounding of its own: precision fp32 (bf16 before)"
    )
    list(other)
    assert other.ended == "all 4 epochs are done"
    assert other.step == run.steps


def test_a_state_of_before_plans_goes_on(flowers):
    run = Run(flowers, made(flowers), device="cpu")
    tensors, plain = kept(run)
    del plain["execution"], plain["scaler"]
    run.put(tensors, plain)
    assert run.execution == Execution(threads=1)


@pytest.mark.parametrize("after", [1, 13, 30])
def test_no_number_in_bf16_is_tried_again_in_fp32_from_the_last_good_state(flowers, after, tmp_path):
    recipe = own(flowers, lambda: broken(after))
    run = Run(flowers, recipe, device="cpu", execution=Execution(precision="bf16"))
    per_epoch = run.batches.per_epoch
    points = list(run)
    assert run.ended == "all 4 epochs are done"
    assert run.execution.precision == "fp32"
    said = [note for point in points for note in point.notes if "on in fp32" in note]
    good = after // per_epoch * per_epoch
    assert len(said) == 1
    assert f"to step {good}, and on in fp32" in said[0]
    assert "bf16" in said[0]
    assert [point.step for point in points] == [per_epoch * k for k in range(1, 5)]
    plain = Run(flowers, recipe, device="cpu", execution=Execution(precision="bf16"))
    if good:
        plain.advance(good)
    plain.use(Execution())
    plain.advance(run.steps - good)
    assert same(plain.body.state_dict(), run.body.state_dict())


def test_a_state_holds_where_to_go_back_to(flowers, tmp_path):
    recipe = own(flowers, lambda: broken(25))
    whole = Run(flowers, recipe, device="cpu", execution=Execution(precision="bf16"))
    list(whole)
    cut = Run(flowers, recipe, device="cpu", execution=Execution(precision="bf16"))
    walk = cut.walk(beat=0.0)
    while cut.step < 21:
        next(walk)
    cut.save(tmp_path / "state")
    taken = Run.resume(flowers, tmp_path / "state", model=recipe.model, device="cpu")
    if not BF16:
        pytest.skip("this processor goes on in fp32")
    list(taken)
    assert same(taken.body.state_dict(), whole.body.state_dict())


def test_fp32_that_gives_no_number_ends_as_before(flowers):
    for precision in ("fp32", "bf16"):
        run = Run(
            flowers, own(flowers, lambda: broken(12, always=True)), device="cpu", execution=Execution(precision=precision)
        )
        list(run)
        assert run.ended.startswith("diverged")
        assert run.execution.precision == "fp32"


def test_recomputed_activations_give_the_same_steps(stripes):
    def deep():
        blocks = [nn.Sequential(nn.Linear(144, 144), nn.Dropout(0.3), nn.ReLU()) for _ in range(3)]
        return nn.Sequential(nn.Flatten(), *blocks, nn.Linear(144, 2))

    runs = [Run(stripes, own(stripes, deep), device="cpu", execution=Execution(recompute=r)) for r in (False, True)]
    losses = [run.advance(12) for run in runs]
    assert losses[0] == losses[1]
    assert same(runs[0].body.state_dict(), runs[1].body.state_dict())


def test_fp16_scales_its_losses(flowers, tmp_path):
    run = Run(flowers, made(flowers, model="mlp", clipping=True), device="cpu", execution=Execution(precision="fp16"))
    other = Run(flowers, made(flowers, model="mlp", clipping=True), device="cpu")
    assert run.advance(30) == pytest.approx(other.advance(30), rel=0.05)
    tensors, plain = kept(run)
    assert plain["scaler"]["scale"] >= 1
    again = Run(flowers, made(flowers, model="mlp", clipping=True), device="cpu")
    again.put(tensors, plain)
    assert again.advance(5) == run.advance(5)


@pytest.mark.parametrize("at", [0, 5, 20])
def test_memory_that_runs_out_at_any_step_changes_the_result_by_rounding_alone(flowers, at):
    class Hungry(nn.Linear):
        passes = 0

        def forward(self, x):
            if self.training:
                self.passes += 1
                if self.passes > at and len(x) > 8:
                    raise torch.OutOfMemoryError("injected")
            return super().forward(x)

    runs = [Run(flowers, own(flowers, net), device="cpu") for net in (lambda: Hungry(5, 3), lambda: nn.Linear(5, 3))]
    for run in runs:
        list(run)
    assert runs[0].micro == 4
    assert sum("memory ran out in step" in note for point in runs[0].curve for note in point.notes) == 2
    for name, tensor in runs[0].body.state_dict().items():
        torch.testing.assert_close(tensor, runs[1].body.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_what_this_machine_cannot_do_is_left_out():
    far = Execution(precision="fp16", graphed=True, threads=512)
    here = carrying.able(far, torch.device("cpu"))
    assert (here.precision, here.graphed) == ("fp32", False)
    assert here.threads <= 512
    with pytest.raises(RuntimeError, match="a CUDA graph needs a GPU"):
        carrying.captured(nn.Linear(1, 1), Execution(graphed=True), torch.zeros(2, 1))


def test_what_rates_of_dropout_there_are_is_no_matter_of_a_plan_and_what_is_too_short_is_timed_once(stripes):
    runs = [Run(stripes, made(stripes, model="mlp", dropout=rate, epochs=9000), device="cpu") for rate in (0.1, 0.35, 0.0)]
    assert signature(runs[0]) == signature(runs[1]) != signature(runs[2])
    here = Plans()
    first = here.of(runs[0], steps=3)
    assert "too few to pay for a plan" in first.why
    assert not first.cached
    assert here.of(runs[1], steps=3).cached
    assert here.step_of(runs[1]) == first.step > 0
    assert not here.of(runs[0], steps=1e9, most=0.3).cached  # now it is worth it
