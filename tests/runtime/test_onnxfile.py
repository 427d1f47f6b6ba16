"""A model file that reads other files, or is no model, is refused before a session sees it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tuneful.core.errors import ArtifactError
from tuneful.runtime.load import open_session
from tuneful.runtime.onnxfile import external_tensors


def scaled(*weights: onnx.TensorProto) -> onnx.ModelProto:
    """value = x @ w, with the initializers given."""
    x, value = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", side]) for name, side in (("x", 2), ("value", 1))
    )
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["value"])], "g", [x], [value], initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def weight() -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([[2.0], [3.0]], np.float32), "w")


def outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return tensor


def test_a_whole_model_runs():
    model = scaled(weight()).SerializeToString()
    assert external_tensors(model) == []
    found = open_session(model).run(None, {"x": np.array([[1, 10]], np.float32)})[0]
    assert found.tolist() == [[32.0]]


def test_an_initializer_in_another_file():
    with pytest.raises(
        ArtifactError, match="wants the numbers of 'w' from another file; a sealed model holds all of its own"
    ):
        open_session(scaled(outside(weight())).SerializeToString())


def test_a_pointer_without_a_location_flag_counts_too():
    tensor = outside(weight())
    tensor.ClearField("data_location")
    assert external_tensors(scaled(tensor).SerializeToString()) == ["w"]


def test_pointers_in_attributes_branches_and_functions_are_found():
    constant = helper.make_node(
        "Constant", [], ["c"], value=outside(numpy_helper.from_array(np.ones(1, np.float32), "hidden"))
    )
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([choice], "g", [helper.make_tensor_value_info("x", TensorProto.BOOL, [1])], [])
    function = helper.make_function("own", "f", [], ["c"], [constant], [helper.make_opsetid("", 18)])
    assert external_tensors(helper.make_model(graph).SerializeToString()) == ["hidden", "hidden"]
    assert external_tensors(
        helper.make_model(helper.make_graph([], "g", [], []), functions=[function]).SerializeToString()
    ) == ["hidden"]


def test_agrees_with_the_onnx_package():
    model = scaled(outside(weight()), numpy_helper.from_array(np.ones(3, np.float32), "other"))
    theirs = [tensor.name for tensor in model.graph.initializer if onnx.external_data_helper.uses_external_data(tensor)]
    assert external_tensors(model.SerializeToString()) == theirs == ["w"]


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"not a model", b":\x05abc", b"\x3a\x02" * 300])
def test_bytes_that_are_no_model(data: bytes):
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        open_session(data)


def test_every_truncation_is_refused():
    data = scaled(weight()).SerializeToString()
    for end in range(1, len(data)):
        with pytest.raises(ArtifactError, match=r"model\.onnx"):
            open_session(data[:end])
