"""Which places of an example speak for a class: the class-activation map, as a second output of the exported graph.

Where a network ends in the mean of its maps f over all places and one linear layer w, b, that layer may as well be asked at each place:

    map_c(p) = w_c . f(p) + b_c;     mean over p of map_c(p) = logit of c

so a map adds up to what was answered, which is how it is checked. Any other end has no such map, and that is told with its reason.
The graph is read from its answers backwards, so that one which `improve` has changed is explained as well.

Source: Zhou et al., CVPR 2016, arXiv:1512.04150, eq. 1-2.  Unlike there b is added, the same at each place, for the sum's sake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import ArtifactError, ModelError
from tuneful.core.task import Task
from tuneful.runtime import answers
from tuneful.runtime.explain import MAP, apart
from tuneful.runtime.load import fed, open_session

TOLERANCE = 1e-4  # of answers: as far as a map's mean may lie from what was answered
ROWS = 64  # validation examples that are looked at
_LINKS = ("Softmax", "Sigmoid")  # what makes probabilities of logits, place by place of the labels
_LINEAR = ("Gemm", "MatMul", "Add", "Mul", "Div")
_SAME = ("Identity", "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "QuantizeLinear", "DequantizeLinear")
_MEANS = ("ReduceMean", "GlobalAveragePool")


def explained(model: bytes, task: Task, judged: bool = True) -> tuple[bytes, dict[str, Any]]:
    """(the graph with the map as an output besides, what is to be told of it); the graph as it was where it has none.

    judged: must the map add up to the answer? Not where inner values were rounded to few bits, which moves its mean; how far is told.
    """
    try:
        return _judged(*_with_map(model, task), task, judged)
    except (ModelError, ArtifactError) as why:
        return model, {"kind": None, "why_not": why.message}
    except (IndexError, KeyError, TypeError, ValueError) as error:  # a graph of anybody's network may be spelled in any way
        return model, {
            "kind": None,
            "why_not": f"its end is spelled in a way that is not read here ({type(error).__name__})",
        }


def _judged(model: bytes, shape: tuple[int, ...], task: Task, judged: bool) -> tuple[bytes, dict[str, Any]]:
    session, output = open_session(model), answers.output(task.kind)
    rows = np.unique(np.linspace(0, len(task.valid) - 1, min(ROWS, len(task.valid))).astype(int))
    told, maps = (np.asarray(each) for each in session.run([output, MAP], {"x": fed(task.valid.x[rows])}))
    scale = max(1.0, float(np.abs(told).max())) if task.kind in answers.VALUES else 1.0
    largest = apart(task.kind, told, maps) / scale
    if judged and not largest <= TOLERANCE:
        raise ModelError(f"its map adds up to another answer, {largest:.2g} away")
    return model, {
        "kind": "class activation map", "shape": list(shape or maps.shape[2:]), "rows": len(rows), "largest_difference": largest,
        "tolerance": TOLERANCE if judged else None,
    }  # fmt: skip


def _with_map(model: bytes, task: Task) -> tuple[bytes, tuple[int, ...]]:
    """(the graph with the map as its second output, the map's sides). Raises ModelError."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    if task.kind in (*answers.PLACES, *answers.PIXELS, *answers.TEXTS, answers.OPEN, "forecasting"):
        raise ModelError(f"a model of kind {task.kind} has no one answer of an example that places could speak for")
    message = onnx.load_from_string(model)
    graph = message.graph
    features, behind, constants = _walked(message)
    known = _known(message)
    if features not in known or len(known[features].shape.dim) < 3:
        raise ModelError("how its maps lie is not known")
    channels, *sides = (int(side.dim_value) for side in known[features].shape.dim[1:])
    w, b = _head(behind, channels, constants)
    for name, array in (("map_weight", w.reshape(*w.shape, *[1] * len(sides))), ("map_bias", b)):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
    if known[features].elem_type != TensorProto.FLOAT:
        graph.node.append(helper.make_node("Cast", [features], ["map_features"], to=TensorProto.FLOAT))
        features = "map_features"
    graph.node.append(helper.make_node("Conv", [features, "map_weight", "map_bias"], [MAP]))
    graph.output.append(helper.make_tensor_value_info(MAP, TensorProto.FLOAT, ["N", len(w), *sides]))
    return message.SerializeToString(), tuple(sides)


def _walked(message: Any) -> tuple[str, list[Any], Constants]:
    """(the value whose mean is taken, the nodes behind the mean in their order, the constants), from the answers backwards."""
    graph, constants = message.graph, Constants(message)
    makers = {output: node for node in graph.node for output in node.output}
    name, behind = graph.output[0].name, list[Any]()
    while True:
        node = makers.get(name)
        if node is None:
            raise ModelError("nothing in it is a mean over places")
        moving = [each for each in node.input if each and not constants.fixed(each)]
        if len(moving) != 1:
            raise ModelError("several ways lead to its answer (views that are averaged, say), not one mean over places")
        name = moving[0]
        if node.op_type in _MEANS:
            return _pooled(node, name, makers, constants, message), behind[::-1], constants
        if node.op_type not in (*_LINKS, *_SAME, *_LINEAR) or (node.op_type in _LINEAR and name != node.input[0]):
            where = "what goes into its last linear layer" if any(one.op_type in _LINEAR for one in behind) else "its answer"
            raise ModelError(f"{where} comes from {node.op_type}, not from a mean over places")
        if node.op_type in _LINKS and behind and any(one.op_type not in _SAME for one in behind):
            raise ModelError(f"{node.op_type} is not the last that is done to its answer")
        behind.append(node)


def _pooled(node: Any, name: str, makers: Mapping[str, Any], constants: Constants, message: Any) -> str:
    """What a mean is taken of, if it is taken over all places."""
    import onnx

    before = makers.get(name)
    if before is not None and before.op_type == "Unsqueeze":  # a series is a picture of one line to torch's exporter
        return str(before.input[0])
    if node.op_type == "ReduceMean":
        told = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        axes = constants.value(node.input[1]).tolist() if len(node.input) > 1 else told.get("axes", [])
        known = _known(message)
        rank = len(known[name].shape.dim) if name in known else 0
        if sorted(int(axis) % max(1, rank) for axis in axes) != list(range(2, rank)) or rank < 3:
            raise ModelError("its mean is not one over the places of maps")
    return name


def _known(message: Any) -> dict[str, Any]:
    """What is known of the type and shape of each value."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(message).graph
    return {each.name: each.type.tensor_type for each in (*graph.input, *graph.value_info)}


def _head(behind: list[Any], channels: int, constants: Constants) -> tuple[NDArray[Any], NDArray[Any]]:
    """w [L, C] and b [L] of what stands behind the mean, its link left out."""
    import onnx

    w, b = np.eye(channels), np.zeros(channels)
    for node in behind:
        if node.op_type not in _LINEAR:
            continue
        given = [np.asarray(constants.value(each), dtype=np.float64) for each in node.input[1:] if each]
        by = given[0]
        if node.op_type == "Gemm":
            told = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            by = told.get("alpha", 1.0) * (by if told.get("transB") else by.T)
            w, b = by @ w, by @ b + told.get("beta", 1.0) * (given[1].reshape(-1) if len(given) > 1 else 0.0)
        elif node.op_type == "MatMul":
            w, b = by.T @ w, by.T @ b
        elif node.op_type == "Add":
            b = b + by.reshape(-1)
        else:
            by = (by if node.op_type == "Mul" else 1 / by).reshape(-1)
            w, b = by[:, None] * w, by * b
    return w, np.broadcast_to(b, len(w))


class Constants:
    """The values of a graph that do not depend on its input."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._held = {each.name: each for each in message.graph.initializer}
        self._makers = {output: node for node in message.graph.node for output in node.output}
        self._fixed = dict[str, bool]()

    def fixed(self, name: str) -> bool:
        """Is it one of them?"""
        if name not in self._fixed:
            node = self._makers.get(name)
            self._fixed[name] = name in self._held or (
                node is not None and all(self.fixed(each) for each in node.input if each)
            )
        return self._fixed[name]

    def value(self, name: str) -> NDArray[Any]:
        """Its numbers."""
        import onnx

        if name in self._held:
            return onnx.numpy_helper.to_array(self._held[name])
        alone = onnx.ModelProto()
        alone.CopyFrom(self._message)
        wanted, nodes = {name}, list[Any]()
        for node in reversed(self._message.graph.node):
            if wanted & set(node.output):
                nodes.append(node)
                wanted |= set(node.input)
        held = [self._held[each] for each in sorted(wanted & set(self._held))]
        alone.graph.CopyFrom(onnx.helper.make_graph(nodes[::-1], "constant", [], [onnx.ValueInfoProto(name=name)], held))
        return np.asarray(open_session(alone.SerializeToString()).run(None, {})[0])


__all__ = ["TOLERANCE", "explained"]
