"""Afterlife: load, predict. numpy and onnxruntime only; lives without torch."""

from tuneful.runtime.load import Model, load

__all__ = ["Model", "load"]
