"""Cooldown branches and longer budgets: to the bit what a run of that length would have been from its beginning."""

from __future__ import annotations

import pytest
import torch

from tuneful.core.errors import RecipeError
from tuneful.pipeline.branch import branch, lengthened
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.train import Run
from tuneful.techniques.schedules import Cosine, Linear


def made(task, **settings):
    base = {
        "epochs": 6, "batch_size": 32, "validate_every": 1, "threads": 1, "model": "mlp", "width": 8, "schedule": "wsd",
        "schedule.warmup": 5, "schedule.cooldown": 10, "dropout": 0.2, "averaging": 0.9, "percentile_clipping": 50,
    }  # fmt: skip
    return from_mapping({**base, **settings}, task)[0]


def bits(run):
    return {**run.network.state_dict(), **{f"read.{k}": v for k, v in run.readout.state_dict().items()}}


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def at(run, step):
    while run.step < step:
        run._one_step()
        if run.batches.due(run.step, float(run.recipe.validate_every)):
            run.look()
    return run


@pytest.mark.parametrize(("step", "cooldown", "steps"), [(20, 0.2, 25), (30, 12, 42), (6, 3, 9)])
def test_a_branch_is_the_run_of_its_length(flowers, step, cooldown, steps):
    run = at(Run(flowers, made(flowers)), step)
    short = branch(run, cooldown)
    assert short.steps == steps
    list(short)
    whole = Run(flowers, short.recipe)
    list(whole)
    assert same(bits(short), bits(whole))
    assert [(p.step, p.value, p.lr) for p in short.curve] == [(p.step, p.value, p.lr) for p in whole.curve]
    assert short.curve[-1].lr < run.recipe.optimizer.lr / 3
    assert short.ended.startswith("all")


def test_the_run_itself_goes_on_as_if_no_branch_had_left(flowers):
    alone, run = Run(flowers, made(flowers)), at(Run(flowers, made(flowers)), 20)
    list(branch(run, 0.3))
    list(run)
    list(alone)
    assert same(bits(run), bits(alone))


def test_a_larger_budget_in_the_stable_part_is_the_run_that_had_it_all_along(flowers):
    run = lengthened(at(Run(flowers, made(flowers)), 31), 9)
    list(run)
    whole = Run(flowers, made(flowers, epochs=9))
    list(whole)
    assert run.steps == whole.steps == 81
    assert same(bits(run), bits(whole))


def test_a_run_that_is_over_goes_on_with_a_larger_budget_along_the_stretched_schedule(flowers):
    run = Run(flowers, made(flowers).replace(schedule=Linear()))
    list(run)
    more = lengthened(run, 12)
    points = list(more)
    assert points[0].lr == pytest.approx(more.recipe.optimizer.lr * more.plan.schedule.factor(62, 108))
    assert points[-1].step == 108


@pytest.mark.parametrize(
    ("step", "settings", "cooldown", "said"),
    [
        (20, {"schedule": "cosine"}, 0.2, "schedule=cosine has none"),
        (3, {}, 0.2, "a branch leaves between steps 5 and 44; the run is at step 3"),
        (46, {}, 0.2, "a branch leaves between steps 5 and 44; the run is at step 46"),
        (20, {}, 1.5, "cooldown is 1.5; it must be a share"),
        (8, {"batch_schedule": "step", "batch_to": 64}, 0.2, "batch_schedule follows the length of the run"),
    ],
)
def test_refuses_what_would_not_be_exact(flowers, step, settings, cooldown, said):
    recipe = made(flowers, **{k: v for k, v in settings.items() if k != "schedule"})
    if settings.get("schedule") == "cosine":
        recipe = recipe.replace(schedule=Cosine())
    with pytest.raises(RecipeError, match=said):
        branch(at(Run(flowers, recipe), step), cooldown)


def test_a_budget_does_not_shrink_below_what_is_done(flowers):
    with pytest.raises(RecipeError, match="epochs is 2, but the run has done 3"):
        lengthened(at(Run(flowers, made(flowers)), 27), 2)
