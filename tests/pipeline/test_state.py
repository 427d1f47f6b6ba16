from __future__ import annotations

import errno
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tuneful.core.errors import StateError, StorageError
from tuneful.pipeline import state

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "empty": torch.zeros(0, 4),
    "n": torch.tensor(3),
    "b": torch.ones(2, dtype=torch.bfloat16),
}


def test_gives_back_what_was_saved(tmp_path):
    path = tmp_path / "deep" / "state.safetensors"
    state.save(path, TENSORS, {"step": 3, "name": "ü", "none": None})
    tensors, plain = state.load(path)
    assert plain == {"step": 3, "name": "ü", "none": None}
    assert all(torch.equal(tensors[name], TENSORS[name]) and tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert os.listdir(path.parent) == ["state.safetensors"]


@given(st.data())
def test_no_changed_byte_is_missed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("s") / "state"
    state.save(path, TENSORS, {"step": 3})
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        tensors, plain = state.load(path)
    except StateError:
        return
    # A change may hit what carries no meaning (a space of the header), never the content.
    assert plain == {"step": 3}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_a_full_disk_leaves_the_old_state_whole(tmp_path, monkeypatch):
    path = tmp_path / "state"
    state.save(path, TENSORS, {"step": 1})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot be written to .*: the disk is full; the state saved before is whole"):
        state.save(path, TENSORS, {"step": 2})
    assert state.load(path)[1] == {"step": 1}
    assert os.listdir(tmp_path) == ["state"]


def test_foreign_safetensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(StateError, match="is not a run's state of this tuneful"):
        state.load(path)
