"""A network as an ONNX file: one input x [N, *shape] float32 (tokens: int64), one output, nothing in it that tells of the machine.

Classification gives "probabilities" [N, L] with the softmax inside, regression "value" [N] in the target's unit. The network is
traced by torch.export in eval mode with the number of rows left free, and translated by torch's own ONNX exporter.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import io
import json
import logging
import re
import warnings
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.task import Task
from tuneful.pipeline.candidate import as_input
from tuneful.pipeline.goals import GOALS, goal
from tuneful.techniques.models import merged_

OPSET = 18  # the lowest that torch's exporter writes without converting, so the widest range of runtimes can read it
_REGISTRATION = "torch.onnx._internal.exporter._registration"
_TALKERS = (
    _REGISTRATION,  # says four times that torchvision is absent
    "torch.fx.experimental.symbolic_shapes",  # says at length why a trace failed; we say it in a sentence
)
_HINT = "export needs a forward() without Python control flow on tensor values, for any number of rows"


class Served(nn.Module):
    """What is exported: the network, then what makes answers of its outputs (softmax over classes, say)."""

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network = network
        self.link = GOALS[kind].told()

    def forward(self, x: Tensor) -> Tensor:
        return self.link(self.network(x).float())


def served(network: nn.Module, kind: str) -> Served:
    """A copy of a network as it is exported: in eval mode, on the CPU, float32, the differences of LoRA in its weights; the network
    itself is not touched."""
    return Served(merged_(copy.deepcopy(network)), kind).to("cpu", torch.float32).eval().requires_grad_(False)


def export(network: nn.Module, task: Task) -> bytes:
    """The ONNX file of a network.

    Raises: ModelError naming the part that cannot be expressed (control flow on values, an operator without translation, a
    batch size that is fixed), or when the result does not pass ONNX's own checker.
    Cost: one to two seconds for a small network; the first call of a process some seconds more.
    """
    return finished(_to_onnx(served(network, task.kind), as_input(torch.from_numpy(task.valid.x[:1])), goal(task).answer))


def finished(model: Any) -> bytes:
    """An ONNX model as the bytes of its file, checked. Raises ModelError."""
    import onnx

    _strip(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"the exported network is not valid ONNX ({_first_line(error)})", "please report this network"
        ) from error
    if model.ByteSize() >= 2 << 30:
        raise ModelError("the network has more than 2 GiB of weights; one ONNX file can hold no more", "use a smaller model")
    return model.SerializeToString()


def named(model: bytes, labels: Sequence[str]) -> bytes:
    """The file with the names of the classes in it (metadata "labels", a JSON list), for whoever runs it without the rest."""
    import onnx

    if not labels:
        return model
    found = onnx.load_from_string(model)
    onnx.helper.set_model_props(found, {"labels": json.dumps(list(labels), ensure_ascii=False)})
    return found.SerializeToString()


def _to_onnx(module: nn.Module, one: Tensor, output: str) -> Any:
    example = torch.zeros(3, *one.shape[1:], dtype=one.dtype)  # three rows: torch.export treats one row as a special case
    return traced(module, (example,), ["x"], [output])


def traced(module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """An ONNX model of a module in eval mode. example: its inputs, three rows each; the number of rows is left free."""
    return programs(module, example, inputs, outputs).model_proto


def program(module: nn.Module, example: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """A module in eval mode as torch.export traces it, the number of rows left free. Raises ModelError."""
    n = torch.export.Dim("N", min=1, max=1 << 24)
    first, *rest = ({0: n} for _ in example)
    rows = (first, tuple(rest)) if rest else (first,)
    with _quiet():
        try:
            with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):  # it prints the graph when it fails
                return torch.export.export(module, example, dynamic_shapes=rows, strict=False)
        except Exception as error:  # a user's forward() and torch's tracer may raise anything
            raise ModelError(f"the network cannot be traced for export: {_why(error)}", _HINT) from error


def programs(module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The same with the traced program beside it, as torch's exporter gives them: a `torch.onnx.ONNXProgram`."""
    traced = program(module, example)
    with _quiet():
        try:
            written = torch.onnx.export(
                traced, dynamo=True, input_names=list(inputs), output_names=list(outputs), opset_version=OPSET,
                external_data=False, verbose=False,
            )  # fmt: skip
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            named = re.search(r"aten[.:]+\w+|torch\.ops\.[\w.]+", f"{error} {error.__cause__}")
            why = f"the operator {named[0]} has no translation" if named else _why(error)
            raise ModelError(f"the network cannot be written as ONNX: {why}", _HINT) from error
    if written is None:
        raise ModelError("torch's exporter gave no ONNX model", _HINT)
    return written


def _why(error: Exception) -> str:
    """The failures that users meet in our words, others in torch's first sentence."""
    text = str(error)
    if "data-dependent" in text:
        place = re.search(r"code: (.+)", text)
        return "forward() branches on the values of a tensor" + (f" ({place[1].strip()[:100]})" if place else "")
    if "Constraints violated" in text or "specialized" in text:
        return "forward() fixes the number of rows"
    return _first_line(error)


def _strip(model: Any) -> None:
    """Remove what names source files, stack traces and classes, and say who made it."""
    _clear(model)
    model.graph.name = "tuneful"
    model.producer_name, model.producer_version = "tuneful", version()


def _clear(message: Any) -> None:
    """Clear doc strings, metadata and inner shapes (a runtime infers them) of a protobuf message and all messages in it."""
    for name in ("doc_string", "metadata_props", "value_info"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if isinstance(value, Sequence) or not hasattr(value, "DESCRIPTOR") else [value]:
                _clear(inner)


def version() -> str:
    """The version of tuneful that is installed."""
    try:
        return importlib.metadata.version("tuneful")
    except importlib.metadata.PackageNotFoundError:
        return "0+unknown"


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence exactly what torch's exporter says of itself: two warnings about its own inside, its loggers, what it prints.
    Everything else is heard."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            warnings.filterwarnings(
                "ignore", message=r".*_flat_weights\[\d+\] were assigned during export", category=UserWarning
            )
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:200]


__all__ = ["OPSET", "Served", "export", "finished", "named", "program", "programs", "served", "traced", "version"]
