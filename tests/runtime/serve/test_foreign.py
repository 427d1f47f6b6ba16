"""Artifacts that somebody else made: graphs that crash, swell or never end are refused in a child, before anything serves them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tuneful.core.errors import ArtifactError
from tuneful.runtime.serve.examined import examined


def forged(artifact: Path, folder: Path, model: bytes) -> Path:
    """An artifact with another model.onnx, whose hashes are right."""
    shutil.copytree(artifact, folder)
    (folder / "model.onnx").write_bytes(model)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = {"sha256": hashlib.sha256(model).hexdigest(), "bytes": len(model)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def graph(artifact: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    """A model with the inputs and outputs of an artifact's, and other nodes between them."""
    real = onnx.load(str(artifact / "model.onnx"))
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", real.graph.input, real.graph.output, initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def terabytes(artifact: Path) -> bytes:
    """Asks for 8 TB when it runs."""
    return graph(
        artifact,
        [
            helper.make_node(
                "ConstantOfShape", ["shape"], ["big"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
            ),
            helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0),
            helper.make_node("Gemm", ["x", "w"], ["z"]),
            helper.make_node("Add", ["z", "mean"], ["probabilities"]),
        ],
        {"shape": np.array([2_000_000, 1_000_000], np.int64), "w": np.ones((4, 2), np.float32)},
    )


def forever(artifact: Path) -> bytes:
    """Goes round 2^62 times."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w_out"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("w_out", TensorProto.FLOAT, None)],
    )  # fmt: skip
    return graph(
        artifact,
        [
            helper.make_node("Loop", ["count", "yes", "x"], ["y"], body=body),
            helper.make_node("Gemm", ["y", "w"], ["probabilities"]),
        ],
        {"count": np.array(2**62, np.int64), "yes": np.array(True), "w": np.ones((4, 2), np.float32)},
    )


def test_a_graph_that_asks_for_terabytes_is_refused(artifacts: dict[str, Path], tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"memory|GiB|allocate|fails"):
        examined(forged(artifacts["table"], tmp_path / "a", terabytes(artifacts["table"])), seconds=30)


def test_a_graph_that_never_ends_is_refused_in_time(artifacts: dict[str, Path], tmp_path: Path):
    begun = time.monotonic()
    with pytest.raises(ArtifactError, match=r"takes more than 3 s|ends the process"):
        examined(forged(artifacts["table"], tmp_path / "a", forever(artifacts["table"])), seconds=3)
    assert time.monotonic() - begun < 15


def test_truncated_and_flipped_graphs_are_refused_or_harmless(artifacts: dict[str, Path], tmp_path: Path):
    whole = (artifacts["table"] / "model.onnx").read_bytes()
    dice = np.random.default_rng(0)
    refused = 0
    for at in range(8):
        bad = bytearray(whole[: len(whole) * (at + 1) // 9] if at % 2 else whole)
        if at % 2 == 0:
            for place in dice.integers(0, len(bad), 20):
                bad[place] ^= 1 << int(dice.integers(8))
        try:
            examined(forged(artifacts["table"], tmp_path / str(at), bytes(bad)), seconds=30)
        except ArtifactError:
            refused += 1
    assert refused >= 4  # what is cut off never loads; a flipped weight may


def test_numbers_in_another_file_are_refused(artifacts: dict[str, Path], tmp_path: Path):
    model = onnx.load(str(artifacts["table"] / "model.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(ArtifactError, match="wants the numbers of"):
        examined(forged(artifacts["table"], tmp_path / "a", model.SerializeToString()))


@pytest.mark.parametrize("how", ["hard link", "symbolic link", "absolute path", "way out"])
def test_no_link_leads_to_numbers_elsewhere(artifacts: dict[str, Path], tmp_path: Path, how: str):
    """onnxruntime follows hard links, and reads beside the working directory where a model is given as bytes."""
    model = onnx.load(str(artifacts["table"] / "model.onnx"))
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    (tmp_path / "secret").write_bytes(tensor.raw_data)
    at = {"absolute path": str(tmp_path / "secret"), "way out": "../secret"}.get(how, "numbers.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=at)
    folder = forged(artifacts["table"], tmp_path / "a", model.SerializeToString())
    if at == "numbers.bin":
        (folder / at).hardlink_to(tmp_path / "secret") if how == "hard link" else (folder / at).symlink_to(
            tmp_path / "secret"
        )
        with pytest.raises(ArtifactError, match=r"numbers\.bin is not listed in manifest\.json"):
            examined(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        data = (tmp_path / "secret").read_bytes()
        manifest["files"][at] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"wants the numbers of|is a symbolic link"):
        examined(folder)


def swelling(artifact: Path) -> bytes:
    """Three numbers (24 bytes) from which 3 GB are made, already while the graph is optimized."""
    made = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"], value=made),
        helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "mean"], ["probabilities"]),
    ]
    return graph(artifact, nodes, {"shape": np.array([3, 1 << 14, 1 << 14], np.int64), "w": np.ones((4, 2), np.float32)})


def test_a_graph_that_swells_to_gigabytes_is_refused(artifacts: dict[str, Path], tmp_path: Path):
    folder = forged(artifacts["table"], tmp_path / "a", swelling(artifacts["table"]))
    with pytest.raises(ArtifactError, match=r"memory|GiB|allocate|fails"):
        examined(folder, seconds=30, memory=2 << 30)


def test_a_network_that_fails_on_some_inputs_is_told_and_the_server_goes_on(
    artifacts: dict[str, Path], tmp_path: Path, starting: Callable[..., Any]
):
    """Its own example passes; a row whose first number is large asks for the hundredth of two rows."""
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["large"]),
        helper.make_node("Cast", ["large"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["whole", "first"], ["row"], axis=1),
        helper.make_node("Gather", ["rows", "row"], ["probabilities"]),
    ]
    constants = {"scale": np.array(40, np.float32), "first": np.array(0), "rows": np.eye(2, dtype=np.float32)}
    folder = forged(artifacts["table"], tmp_path / "a", graph(artifacts["table"], nodes, constants))
    examined(folder)
    server = starting(f"odd={folder}")
    usual = {"rows": [server.ask("GET", "/models")[2]["models"][0]["example"]["rows"][0]]}
    assert server.ask("POST", "/predict/odd", usual)[0] == 200
    for _ in range(3):
        status, _, told = server.ask("POST", "/predict/odd", {"rows": [usual["rows"][0] | {"age": 79}]})
        assert status == 500
        assert "id" in told
        assert "Gather" not in str(told)  # nothing of the inside leaves
    assert server.ask("GET", "/v2/health/ready")[0] == 200
    assert server.ask("POST", "/predict/odd", usual)[0] == 200


def test_a_real_artifact_passes(artifacts: dict[str, Path]):
    for path in artifacts.values():
        examined(path)
