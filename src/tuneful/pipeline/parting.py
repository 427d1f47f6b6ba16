"""Where an export and its network part: the first inner value that differs, and the layer that it comes from.

The network is traced and translated once more. torch's exporter keeps the names of the traced graph's values, so the same names
can be asked for in both: by an interpreter over torch's graph, and as further outputs of the ONNX file.

    apart(v) = max |torch(v) - onnx(v)| / max(1, max |torch(v)|);   told is the first v, in the order of the graph, above the bound

A layer that draws numbers, or one whose translation is wrong, is named so; where each value agrees, that is told instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuneful.core.errors import ArtifactError, ModelError
from tuneful.pipeline.export import programs
from tuneful.runtime.load import fed, open_session

BOUND = 1e-4  # above rounding, and below what moves an answer


def parting(network: nn.Module, x: NDArray[Any], bound: float = BOUND) -> str:
    """A sentence on where they part, for examples x; "" where it cannot be found out.

    network: as it is exported, in eval mode. Cost: as an export.
    """
    x = fed(x)
    example = torch.zeros(3, *x.shape[1:], dtype=torch.from_numpy(x).dtype)
    try:
        written = programs(network, (example,), ["x"], ["told"])
        graph = written.exported_program.module()
        ours = _Listening(graph)
        with torch.no_grad():
            ours.run(torch.from_numpy(x))
        theirs = _inner(written.model_proto, set(ours.heard), x)
    except (ModelError, ArtifactError, RuntimeError, AttributeError, TypeError, ValueError):
        return ""  # this says more about an error that is told anyhow; it must not hide it
    agreed = ""
    for node in graph.graph.nodes:
        if node.name not in theirs:
            continue
        a, b = ours.heard[node.name].double().numpy(), np.asarray(theirs[node.name], dtype=np.float64)
        if a.shape != b.shape:
            continue
        apart = float(np.max(np.abs(a - b), initial=0.0) / max(1.0, np.max(np.abs(a), initial=0.0)))
        if not apart <= bound:
            before = f"; up to {agreed} they agree" if agreed else ""
            return f"they part at {_called(node)}, by {apart:.2g} of its size{before}"
        agreed = node.name
    return "each inner value of a second export agrees, so the file is of another network" if agreed else ""


class _Listening(torch.fx.Interpreter):
    """Runs a graph and keeps every tensor of it by the name of its node."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.heard: dict[str, Tensor] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        found = super().run_node(n)
        if n.op == "call_function" and isinstance(found, Tensor):
            self.heard[n.name] = found.detach()
        return found


def _inner(model: Any, names: set[str], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The inner values of an ONNX model that bear one of these names."""
    import onnx

    there = {output for node in model.graph.node for output in node.output} & names
    told = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(there - told))
    session: Any = open_session(model.SerializeToString())
    wanted = [each.name for each in session.get_outputs()]
    return {name: value for name, value in zip(wanted, session.run(None, {"x": x}), strict=True) if name in names}


def _called(node: torch.fx.Node) -> str:
    """A node by its name, its operation, and the module that it stands in, such as `conv2d (aten.conv2d of body.0, a Conv2d)`."""
    stack = list(dict(node.meta.get("nn_module_stack") or {}).values())
    path, kind = (stack[-1][0], stack[-1][1]) if stack else ("", "")
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    where = f" of {path.removeprefix('network.') or 'the network'}, a {str(kind).rpartition('.')[2]}" if stack else ""
    return f"{node.name} ({str(node.target).removesuffix('.default')}{where})"


__all__ = ["BOUND", "parting"]
