"""Where two trainings part is found: the step from their traces, the tensor from their states."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tuneful.pipeline import state
from tuneful.pipeline.verify import compared


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("undisturbed", "killed"):
        write(tmp_path, name)
    return tmp_path


def write(place: Path, name: str, bias: float = 0.0, digests: str = "abc", loss: float = 1.0) -> None:
    lines = ["begin 0 3", *(f"{step} {letter * 32}" for step, letter in enumerate(digests, 1))]
    (place / f"{name}.trace").write_text("\n".join(lines) + "\n", encoding="ascii")
    curve = [{"step": 3, "valid_loss": loss, "seconds": len(name)}]
    tensors = {"net.bias": torch.tensor([bias, float("nan")]), "net.empty": torch.zeros(0)}
    state.save(place / f"{name}.safetensors", tensors, {"curve": curve, "step": 3, "recipe": {}})


def test_equal_trainings_are_exact_though_they_took_other_times(place):
    verdict = compared(place, 0, 3, (2,), 1.0)
    assert verdict.exact
    assert str(verdict) == "EXACT: trial 0, 3 steps, 1 kill (after step 2), 2 tensors and the curve"


def test_a_step_made_again_after_a_kill_must_be_the_same(place):
    with (place / "killed.trace").open("a") as trace:
        trace.write(f"2 bbbb\nbegin 1 3\n2 {'b' * 32}\n3 {'c' * 32}\n")  # the first line was cut short by the kill
    assert compared(place, 0, 3, (2,), 1.0).exact
    with (place / "killed.trace").open("a") as trace:
        trace.write(f"2 {'x' * 32}\n")
    assert compared(place, 0, 3, (2,), 1.0).parted == "the weights part in step 2"


def test_the_first_step_and_tensor_that_differ_are_named(place):
    write(place, "killed", bias=-0.0, digests="axx")  # -0 equals 0 as a number, and is another bit
    verdict = compared(place, 0, 3, (1,), 1.0)
    assert not verdict.exact
    assert verdict.parted == "the weights part in step 2; tensor net.bias differs in 1 of 8 bytes"
    assert str(verdict).startswith("PARTED: trial 0, 3 steps, 1 kill (after step 1): the weights part in step 2")


def test_a_curve_that_differs_is_no_equality(place):
    write(place, "killed", loss=2.0)
    assert compared(place, 0, 3, (1,), 1.0).parted == "the weights are equal, but the curves differ"


def test_the_kept_weights_are_a_third_witness(place):
    (place / "kept.safetensors").write_bytes((place / "killed.safetensors").read_bytes())
    assert compared(place, 0, 3, (1,), 1.0).same_as_kept is True
    write(place, "kept", bias=1.0)
    assert compared(place, 0, 3, (1,), 1.0).same_as_kept is False
