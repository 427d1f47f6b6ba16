"""A shipped network for other runtimes: torch's own .pt2, and LiteRT in 32-bit floats or 8-bit whole numbers; each run where it will run.

    found = exported(task, candidate, "litert_int8", folder)

.pt2: the program of torch.export, any number of rows, with neither pickle nor source path in it. LiteRT: one row at a time, converted by
litert-torch, which wants other versions of packages than we do: so it runs in a Python of its own ($TUNEFUL_LITERT names it), which gets
the program and rows as files, and gives back the model and what it answers in LiteRT's interpreter. int8: weights and activations,
ranges seen on up to 256 examples of train (static_wi8_ai8 of ai-edge-quantizer).

What answers otherwise than torch on the validation rows is refused (ParityError, exit 3): floats by more than the tolerance of the
ONNX file; int8 where decisions differ in more than one of twenty, or values by more than a tenth of their spread.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tuneful.core.errors import MissingError, ModelError, ParityError
from tuneful.core.measure import bootstrap, wilson
from tuneful.core.task import Task
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.export import program, served
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import compare
from tuneful.runtime.answers import PIXELS, PLACES
from tuneful.runtime.load import fed
from tuneful.runtime.tensorsfile import pickled

Form = Literal["pt2", "litert", "litert_int8"]
FORMS: dict[str, str] = {"pt2": "model.pt2", "litert": "model.tflite", "litert_int8": "model-int8.tflite"}
TOLERANCE = 1e-4  # of the answers' scale, for floats
ALIKE, SPREAD = 0.95, 0.1  # for int8: the least share of equal decisions; the most difference, of the values' spread
_ROWS, _CALIBRATION, _SECONDS = 512, 256, 600.0


def exported(task: Task, candidate: Candidate, form: Form, folder: Path, python: str = "") -> dict[str, Any]:
    """Write the file of a form into a folder, and what was found of it beside (its name with .json), which is returned.

    python: of the environment with litert-torch; that of $TUNEFUL_LITERT when empty.
    Raises: ModelError when it cannot be exported, ParityError when it answers otherwise, MissingError without litert-torch.
    """
    if goal(task).writes:
        raise ModelError(
            "a model that writes texts is two graphs with a search between them; only ONNX holds it", "use the artifact"
        )
    network = served(candidate.network, task.kind)
    rows = np.unique(np.linspace(0, len(task.valid) - 1, min(_ROWS, len(task.valid))).astype(int))
    x, y = fed(np.asarray(task.valid.x[rows])), np.asarray(task.valid.y[rows])
    with torch.no_grad():
        ours = network(torch.from_numpy(x)).numpy()
    packed = pt2(network, x)
    if form == "pt2":
        data, theirs, times, by = packed, *_by_torch(packed, x), f"torch {torch.__version__}"
    else:
        seen = fed(np.asarray(task.train.x[:_CALIBRATION]))
        data, theirs, times, by = litert(packed, x, seen if form == "litert_int8" else None, python)
    told: dict[str, Any] = {"form": form, "file": FORMS[form], "bytes": len(data), "runtime": by, "rows": len(rows)}
    told |= compared(task, ours, theirs.reshape(ours.shape), y, form == "litert_int8")
    found = bootstrap(times, np.median, unit="ms")
    told["latency"] = {"1": found.as_data() | {"how": f"median of calls with one row on one thread, {found.how}"}}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((FORMS[form], data), (f"{FORMS[form]}.json", (json.dumps(told, indent=1) + "\n").encode())):
        (folder / f"{name}.part").write_bytes(content)
        (folder / f"{name}.part").replace(folder / name)
    return told


def compared(task: Task, ours: NDArray[Any], theirs: NDArray[Any], y: NDArray[Any], rough: bool) -> dict[str, Any]:
    """How far a file's answers lie from torch's. rough: 8-bit numbers. Raises ParityError above what is allowed."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    scale = max(float(np.std(a)), 1e-12) if goal(task).answer == "value" else 1.0
    largest = float(np.max(np.abs(a - b), initial=0.0)) / scale
    if goal(task).answer == "value":
        alike = (np.abs(a - b) <= SPREAD * scale).reshape(len(a), -1).all(axis=1)
    elif task.kind == "multilabel":
        alike = ((a >= 0.5) == (b >= 0.5)).all(axis=1)
    else:
        alike = (a.argmax(axis=-1) == b.argmax(axis=-1)).reshape(len(a), -1).mean(axis=1) >= (0.99 if a.ndim > 2 else 1.0)
    same, least = int(alike.sum()), ALIKE if rough else 0.0
    if not np.isfinite(b).all() or (not rough and not largest <= TOLERANCE) or same < least * len(a):
        raise ParityError(
            f"the file differs from torch by {largest:.2g} of the answers' scale on {len(a)} validation rows, and {same} of them agree; "
            + (f"at least {least:.0%} must agree" if rough else f"at most {TOLERANCE:.2g} is allowed"),
            "`tuneful improve RUN` tries what can be quantized, step by step" if rough else "ship the ONNX file instead",
        )
    told: dict[str, Any] = {"largest_difference": largest, "agreement": wilson(same, len(a)).as_data()}
    if task.kind not in (*PLACES, *PIXELS, "openset"):
        test = compare(task.objective.metric, b, a, y, block=goal(task).block(task))
        told["metric"] = {"name": task.objective.metric, "difference": test.difference.as_data()}
    return told


def pt2(network: nn.Module, x: NDArray[Any]) -> bytes:
    """The program of a network in eval mode as a .pt2 file, without example inputs (they are a pickle) and without names of sources."""
    example = torch.zeros(3, *x.shape[1:], dtype=torch.from_numpy(x[:1]).dtype)
    traced = program(network, (example,))
    for module in (traced.graph_module, *(m for m in traced.graph_module.modules() if isinstance(m, torch.fx.GraphModule))):
        for node in module.graph.nodes:
            for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                node.meta.pop(key, None)
    traced.example_inputs = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        torch.export.save(traced, path)
        data = path.read_bytes()
    if why := pickled(data):
        raise ModelError(
            f"this torch writes a pickle into a .pt2 file ({why})", "use another version of torch, or the ONNX file"
        )
    return data


def _by_torch(data: bytes, x: NDArray[Any]) -> tuple[NDArray[Any], list[float]]:
    """Answers of a .pt2 file that is loaded anew, and milliseconds of calls with one row."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.pt2").write_bytes(data)
        network = torch.export.load(Path(folder) / "model.pt2").module()
    one, times = torch.from_numpy(x[:1]), list[float]()
    with torch.no_grad():
        answers = network(torch.from_numpy(x)).numpy()
        for _ in range(50):
            begun = time.perf_counter()
            network(one)
            times.append(1e3 * (time.perf_counter() - begun))
    return answers, times


def litert(
    data: bytes, x: NDArray[Any], seen: NDArray[Any] | None, python: str = ""
) -> tuple[bytes, NDArray[Any], list[float], str]:
    """(model, answers to x, milliseconds of calls with one row, versions) of LiteRT. seen: examples to take ranges from, for int8."""
    python = python or os.environ.get("TUNEFUL_LITERT", "")
    if not python:
        missing = MissingError("litert-torch", "litert", "a LiteRT file")
        missing.hint = (
            "it wants an environment of its own: python -m venv litert; litert/bin/pip install litert-torch; then name "
            "litert/bin/python in $TUNEFUL_LITERT"
        )
        raise missing
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "model.pt2").write_bytes(data)
        np.save(place / "x.npy", x)
        if seen is not None:
            np.save(place / "seen.npy", seen)
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
        try:
            done = subprocess.run([python, "-c", CHILD, folder], capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL,
                                  env={**env, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"})  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(
                f"{python} cannot convert to LiteRT: {error}", "name a Python that has litert-torch in $TUNEFUL_LITERT"
            ) from None
        told: dict[str, Any] = {}
        with contextlib.suppress(ValueError, IndexError):
            told = json.loads(done.stdout.splitlines()[-1])
        if done.returncode or "by" not in told:
            last = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1][:200]
            raise ModelError(f"litert-torch cannot convert this network: {last}", "use the ONNX file, or another model")
        return (place / "model.tflite").read_bytes(), np.load(place / "y.npy", allow_pickle=False), told["times"], told["by"]


CHILD = """
import json, sys, time
from importlib.metadata import version
from pathlib import Path
import litert_torch, numpy as np, torch
from ai_edge_litert.interpreter import Interpreter

place = Path(sys.argv[1])
x = np.load(place / "x.npy", allow_pickle=False)
network = torch.export.load(place / "model.pt2").module()
out = place / "model.tflite"
litert_torch.convert(network, (torch.from_numpy(x[:1]),)).export(str(out))
if (place / "seen.npy").exists():
    from ai_edge_quantizer import quantizer, recipe
    name = next(iter(Interpreter(str(out)).get_signature_list().items()))
    tool = quantizer.Quantizer(str(out))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    rows = np.load(place / "seen.npy", allow_pickle=False)
    ranges = tool.calibrate({name[0]: [{name[1]["inputs"][0]: row[None]} for row in rows]})
    tool.quantize(ranges).export_model(str(out), overwrite=True)
model = Interpreter(str(out), num_threads=1)
model.allocate_tensors()
(given,), (told,) = model.get_input_details(), model.get_output_details()

def whole(values, by):
    scale, zero = by["quantization"]
    if by["dtype"] is not np.int8:
        return values.astype(by["dtype"])
    return np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)

answers, times = [], []
for row in x:
    fed = whole(row[None], given)
    begun = time.perf_counter()
    model.set_tensor(given["index"], fed)
    model.invoke()
    found = model.get_tensor(told["index"])[0]
    times.append(1e3 * (time.perf_counter() - begun))
    scale, zero = told["quantization"]
    answers.append((found.astype(np.float32) - zero) * scale if told["dtype"] is np.int8 else found)
np.save(place / "y.npy", np.stack(answers).astype(np.float32))
by = f"ai-edge-litert {version('ai-edge-litert')}, litert-torch {version('litert-torch')}"
print(json.dumps({"by": by, "times": times[-200:]}))
"""
"""What the other Python does. argv: a folder with model.pt2, x.npy, and seen.npy for int8."""

__all__ = ["FORMS", "Form", "compared", "exported", "litert", "pt2"]
