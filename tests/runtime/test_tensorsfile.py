"""Headers of safetensors that lie are refused by us, and files that the library writes are read as it reads them."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tuneful.core.errors import ArtifactError
from tuneful.runtime.tensorsfile import header


def told(data: bytes) -> dict[str, Any]:
    return header(io.BytesIO(data), len(data))


def file(entries: Any, numbers: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def one(**change: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | change}


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=9), st.lists(st.integers(0, 5), max_size=3), max_size=5),
    st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_]),
)
def test_what_the_library_writes_is_read_as_it_reads_it(shapes: dict[str, list[int]], dtype: Any):
    data = save({name: np.zeros(shape, dtype) for name, shape in shapes.items() if name != "__metadata__"})
    assert {name: shape for name, (_, shape) in told(data).items()} == {
        name: each.shape for name, each in load(data).items()
    }


LIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "promises a header of 0 bytes"),
    "header longer than the file": (file(one(), bytes(8), length=1 << 62), "promises a header of"),
    "header of 2^64": (b"\xff" * 8 + b"{}", "promises a header of 18446744073709551615 bytes where 2 are left"),
    "no JSON": (file(b"\xff\xfe{"), "is not JSON"),
    "nested": (file(b"[" * 100_000), "is not JSON"),
    "a list": (file([]), "is no object"),
    "a name twice": (file(b'{"a": {}, "a": {}}'), "a name stands there twice"),
    "no entry": (file({"a": 7}), "has the type 'None', which is none"),
    "unknown type": (file(one(dtype="PICKLE"), bytes(8)), "has the type 'PICKLE', which is none"),
    "negative shape": (file(one(shape=[-2]), bytes(8)), "has a shape that cannot be"),
    "shape of true": (file(one(shape=[True, 2]), bytes(8)), "has a shape that cannot be"),
    "a million sides": (file(one(shape=[1] * 1_000_000), bytes(8)), "has a shape that cannot be"),
    "shape whose product overflows": (file(one(shape=[1 << 32, 1 << 32]), bytes(8)), "has 8 bytes for F32 of shape"),
    "offsets beyond the end": (file(one(data_offsets=[0, 1 << 60]), bytes(8)), "8 bytes are there"),
    "offsets backwards": (file(one(data_offsets=[8, 0]), bytes(8)), "lies at 8 to 0"),
    "offsets below zero": (file(one(data_offsets=[-8, 0]), bytes(8)), "has no two data_offsets"),
    "three offsets": (file(one(data_offsets=[0, 4, 8]), bytes(8)), "has no two data_offsets"),
    "overlap": (file(one() | {"b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)), "overlaps another"),
    "all on one place": (file({str(at): one()["a"] for at in range(1000)}, bytes(8)), "overlaps another"),
    "gap": (
        file(one() | {"b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}, bytes(16)),
        "leaves a gap before it",
    ),
    "bytes behind": (file(one(), bytes(9)), "has 1 bytes that belong to no tensor"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_refused_before_memory_is_taken(name: str):
    data, wanted = LIES[name]
    with pytest.raises(ArtifactError, match=wanted.replace("^", r"\^")):
        told(data)
    if name not in ("a name twice", "a million sides"):  # the library takes the last of two names, and any number of sides
        with pytest.raises(SafetensorError):
            load(data)
