"""N processes that train one model end where one process ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ranks_cases import CASES, SHARDED
from ranks_group import start, together
from safetensors.torch import load_file

from tuneful.core.errors import RankError, RecipeError
from tuneful.pipeline.ranks import ALONE, Ranks

HERE = Path(__file__).parent
SCRIPT = HERE / "ranks_cases.py"
WITHIN = {"lbfgs": 1e-7}  # its curvature divides differences of gradients by one another
THREE = (
    "all_in_one",
    "growing",
    "split",
)  # what three processes do among the quick tests: rows that cannot be parted evenly


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which one and two processes have left what they made of every case, and three of some."""
    folder = tmp_path_factory.mktemp("ranks")
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, timeout=240)
    together(SCRIPT, 2, str(folder))
    together(SCRIPT, 3, str(folder), *THREE)
    return folder


@pytest.fixture(scope="module")
def rest(done: Path) -> Path:
    """That folder, with what three processes make of the other cases."""
    together(SCRIPT, 3, str(done), *(name for name in CASES if name not in THREE))
    return done


@pytest.mark.parametrize(("name", "world"), [*((name, 2) for name in CASES), *((name, 3) for name in THREE)])
def test_as_one_process(done: Path, name: str, world: int) -> None:
    """Weights, optimizer, averages, statistics of batch norms and losses, with dropout and augments, in float64."""
    as_one(done, name, world)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in THREE])
def test_three_as_one_process(rest: Path, name: str) -> None:
    as_one(rest, name, 3)


def as_one(done: Path, name: str, world: int) -> None:
    one, several = (load_file(done / f"{name}.{n}.safetensors") for n in (1, world))
    assert one.keys() == several.keys()
    for key, value in one.items():
        torch.testing.assert_close(
            several[key],
            value,
            rtol=1e-9,
            atol=WITHIN.get(name, 1e-11),
            equal_nan=True,
            msg=lambda m, key=key: f"{key}: {m}",
        )
    curves = [json.loads((done / f"{name}.{n}.json").read_text()) for n in (1, world)]
    assert [point["step"] for point in curves[0]] == [point["step"] for point in curves[1]]
    for alone, point in zip(*curves, strict=True):
        assert point["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-9)
        assert point["valid_loss"] == pytest.approx(alone["valid_loss"], rel=1e-9)


@pytest.mark.parametrize(
    ("before", "after"), [(2, 2), pytest.param(2, 1, marks=pytest.mark.slow), pytest.param(1, 2, marks=pytest.mark.slow)]
)
def test_goes_on_with_as_many_or_others(done: Path, before: int, after: int) -> None:
    """Bit for bit with as many processes, to rounding with others, and the curve says what changed."""
    names = ("all_in_one", "pictures", "split")
    together(SCRIPT, before, str(done), *names, "--half")
    together(SCRIPT, after, str(done), *names, f"--from {before}")
    for name in names:
        whole = load_file(done / f"{name}.{before}.safetensors")
        parted = load_file(done / f"{name}.{before}.{after}.safetensors")
        for key, value in whole.items():
            if before == after:
                assert torch.equal(parted[key], value), key
            else:
                torch.testing.assert_close(parted[key], value, rtol=1e-9, atol=1e-11)
        notes = [
            note for point in json.loads((done / f"{name}.{before}.{after}.json").read_text()) for note in point["notes"]
        ]
        said = f"ranks {after} ({before} before)"
        assert any(said in note for note in notes) == (before != after), notes


@pytest.mark.parametrize("name", SHARDED)
def test_each_process_keeps_its_share_of_sharded_weights(done: Path, name: str) -> None:
    whole = int((done / f"{name}.1.0.held").read_text())
    for world in (2, 3) if name in THREE else (2,):
        shares = [int((done / f"{name}.{world}.{rank}.held").read_text()) for rank in range(world)]
        assert sum(shares) == whole
        assert max(shares) < whole / world * 1.4  # the rows of small tensors cannot be cut evenly


@pytest.mark.parametrize("name", ["greedy", pytest.param("greedy_split", marks=pytest.mark.slow)])
def test_memory_that_runs_out_on_one_rank_costs_a_step(tmp_path: Path, name: str) -> None:
    """The group ends in words; begun again it takes its batches in parts, and ends where one process ends that never lacked memory."""
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), name], check=True, timeout=120)
    (tmp_path / f"{name}.saved.safetensors").unlink()
    said = [one.communicate(timeout=120)[0] for one in start(SCRIPT, 2, str(tmp_path), name)]
    assert "memory ran out on rank 1 in step" in said[1]
    assert "the same command goes on from it, with batches in 2 parts" in said[0]
    together(SCRIPT, 2, str(tmp_path), name)
    one, several = (load_file(tmp_path / f"{name}.{n}.safetensors") for n in (1, 2))
    for key, value in one.items():
        torch.testing.assert_close(several[key], value, rtol=1e-9, atol=1e-11, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("kind", ["muon", "lamb", "sam", "lbfgs", "schedule_free_adamw"])
def test_optimizers_that_need_whole_weights_are_not_sharded(kind: str) -> None:
    from tuneful.pipeline.ranks import unshardable
    from tuneful.techniques.optimizers import TABLE

    settings = TABLE[kind]()
    assert unshardable(settings, settings.build([torch.nn.Parameter(torch.zeros(3, 3))])).startswith(f"{kind} ")


def test_rows_are_parted_whole_and_in_order():
    for n, world in ((7, 3), (6, 3), (2, 2), (100, 7)):
        parts = [Ranks(rank, world).part(n) for rank in range(world)]
        assert [row for part in parts for row in range(n)[part]] == list(range(n))
        sizes = [part.stop - part.start for part in parts]
        assert max(sizes) - min(sizes) <= 1
    assert ALONE.part(9) == slice(0, 9)


def test_a_batch_of_fewer_rows_than_processes_is_refused():
    from ranks_cases import recipe, table

    from tuneful.pipeline.batches import Batches
    from tuneful.pipeline.defaults import resolve

    task = table()
    plan = resolve(recipe("plain").replace(batch_size=2), task)
    with pytest.raises(RecipeError, match="a batch of 2 is less than one row for each of 3 processes"):
        Batches(task, plan, torch.device("cpu"), Ranks(0, 3))


def test_devices_that_are_not_there_are_refused_in_words():
    from tuneful.pipeline.carrying import cores
    from tuneful.pipeline.distribute import devices

    assert devices("auto", "cpu") == cores()
    for asked in ("0", "-1", "two", "1.5"):
        with pytest.raises(RankError, match=f"--devices is {asked}; it must be a whole number from 1 on, or auto"):
            devices(asked, "cpu")
    with pytest.raises(RankError, match=r"--devices is 9999; this machine has \d+ cores? for this process"):
        devices("9999", "cpu")


def test_one_process_knows_nothing_of_groups():
    """What is sent nowhere comes back as it was."""
    x = torch.ones(3)
    ALONE.sum_(x)
    assert ALONE.told({"a": 1}) == {"a": 1}
    assert x.tolist() == [1.0, 1.0, 1.0]
