"""A search that is asked to stop again and again, or finds its states damaged, is the search that nothing disturbed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tuneful.core.budget import Budget, Clock
from tuneful.core.study import Study
from tuneful.core.task import Task
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import KEPT, STATE, Search
from tuneful.techniques.search import TPE, Full

SETTINGS = {
    "lr": "1e-4..1", "width": "4..32", "model": "mlp", "depth": 1, "optimizer": "momentum", "dropout": 0.2, "early_stopping": "off",
    "epochs": 9, "batch_size": 50, "validate_every": 1, "threads": 1, "averaging": 0.9,
}  # fmt: skip


def searched(task: Task, folder: Path, halt: Halt | None = None, *, trials: int = 8, full: bool = False) -> Search:
    """A search begun, or gone on with, until it ends or is asked to stop. full: each trial is one epoch, without a pause."""
    recipe, space = from_mapping({**SETTINGS, **({"epochs": 1} if full else {})}, task)
    study = Study.create(folder, "s", task, space)
    clock = Clock(Budget(trials=trials))
    search = Search(study, task, resolve(recipe, task), space, clock, proposer=TPE(startup=4),
                    scheduler=Full() if full else None, halt=halt, device="cpu", stacked=False)  # fmt: skip
    for _ in search:
        pass
    return search


def told(search: Search) -> list[tuple]:
    """What the study knows, without times."""
    return [
        (
            t.number,
            t.dials,
            t.because,
            t.state,
            t.ended_because,
            [(p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in t.curve],
        )
        for t in search.study.trials()
    ]


class Restless(Halt):
    """Asks for a stop when it has been asked so often whether one is due."""

    def __init__(self, left: int) -> None:
        self.left, self.asked = left, False
        super().__init__()

    @property
    def requested(self) -> bool:
        self.left -= 1
        self.asked = self.asked or self.left <= 0
        return self.asked

    @requested.setter
    def requested(self, value: bool) -> None:
        self.asked = self.asked or value


@pytest.fixture(scope="module")
def undisturbed(flowers, tmp_path_factory):
    torch.set_num_threads(1)
    return searched(flowers, tmp_path_factory.mktemp("undisturbed"))


def states(search: Search) -> dict[int, bytes]:
    found = {}
    for trial in search.study.trials():
        path = search.study.trial_folder(trial.number) / STATE
        if path.exists():
            found[trial.number] = bits(Run.resume(search.task, path, device="cpu").readout)
    return found


def bits(network: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


def test_stopped_on_request_in_the_middle_of_every_trial_it_is_the_same_search(flowers, tmp_path, undisturbed):
    dice, stops = random.Random(3), 0
    while True:
        halt = Restless(dice.randrange(2, 24))
        search = searched(flowers, tmp_path, halt)
        if not halt.asked:
            break
        assert search.ended == "it was asked to stop"
        stops += 1
    assert stops > 5
    assert told(search) == told(undisturbed)
    assert states(search) == states(undisturbed)


def damaged(data: bytes, how: str) -> bytes:
    return {"cut": data[: len(data) // 2], "flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]}[how]


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_state_is_told_and_its_trial_is_trained_anew_to_the_same_bits(flowers, tmp_path, undisturbed, how):
    search = searched(flowers, tmp_path, Restless(60))
    broken = [search.study.trial_folder(t.number) / STATE for t in search.study.trials()]
    assert len(broken) > 3
    for path in broken:
        path.write_bytes(damaged(path.read_bytes(), how))
    search = searched(flowers, tmp_path)
    assert told(search) == told(undisturbed)
    notes = [note for t in search.study.trials() for p in t.curve for note in p.notes]
    assert notes
    assert all("state.safetensors is damaged" in note and "is trained anew" in note for note in notes)
    best = search.study.best()
    path = search.study.trial_folder(best.number) / STATE
    whole = bits(Run.resume(flowers, path, device="cpu").readout)
    path.write_bytes(damaged(path.read_bytes(), how))
    trial, candidate = search.candidate()  # also when all is done: the result was promised
    assert trial.number == best.number
    assert bits(candidate.network) == whole
    assert candidate.value == best.last.value
    assert bits(Run.resume(flowers, path, device="cpu").readout) == whole


def test_a_state_that_is_not_kept_goes_also_where_its_trial_ended_as_the_process_died(flowers, tmp_path, monkeypatch):
    made = KEPT + 1
    tell = Study.tell

    def dying(study: Study, number: int, *words: Any) -> None:
        if number == made - 1:  # its state says that it has ended, and nobody was told
            raise KeyboardInterrupt
        tell(study, number, *words)

    with monkeypatch.context() as patch:
        patch.setattr(Study, "tell", dying)
        with pytest.raises(KeyboardInterrupt):
            searched(flowers, tmp_path, trials=made, full=True)
    assert len(list(tmp_path.glob(f"trials/*/{STATE}"))) == made
    search = searched(flowers, tmp_path, trials=made, full=True)
    assert [trial.state for trial in search.study.trials()] == ["done"] * made
    assert len(list(tmp_path.glob(f"trials/*/{STATE}"))) == KEPT
