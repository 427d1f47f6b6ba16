"""What the quantizers share: how onnxruntime's tool is called, quietly and in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from tuneful.core.errors import ModelError

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # where the arithmetic is


def products(model: Any) -> int:
    """How many products of matrices a graph holds."""
    return sum(node.op_type in PRODUCTS for node in model.graph.node)


def loaded(model: bytes, what: str) -> Any:
    """An ONNX file as its message. Raises ModelError where it holds nothing to quantize."""
    import onnx

    found = onnx.load_from_string(model)
    if any(node.op_type.endswith("QuantizeLinear") for node in found.graph.node):
        raise ModelError(f"{what} was given a graph that is quantized already", "one of these steps is enough")
    if not products(found):
        raise ModelError(f"{what} finds no convolution and no product of matrices in the exported graph",
                         "its arithmetic lies elsewhere (a recurrent layer, say); leave this step out")  # fmt: skip
    return found


def quantized(what: str, call: Callable[[Path, Path], None], model: Any) -> bytes:
    """The file that `call(path of the model, path for the result)` writes. Raises ModelError when it fails."""
    import onnx

    with tempfile.TemporaryDirectory(prefix="tuneful-quantize-") as place, quiet():
        before, after = Path(place) / "before.onnx", Path(place) / "after.onnx"
        onnx.save_model(model, str(before))
        try:
            call(before, after)
            made = onnx.load_model(str(after))
        except Exception as error:  # onnxruntime's tool raises whatever it meets
            said = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            raise ModelError(
                f"{what} cannot quantize this graph: {said}", "leave the step out, or take another one"
            ) from error
    made.ClearField("metadata_props")
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    made.graph.ClearField("value_info")
    return made.SerializeToString()


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """onnxruntime's tool speaks through the root logger, standard output and warnings; nothing of it tells a user what to do."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
