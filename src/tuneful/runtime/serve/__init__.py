"""Serving: artifacts over HTTP, without torch. The Open Inference Protocol for machines, /predict and a page for people."""

from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.placed import Place, places
from tuneful.runtime.serve.supervisor import Settings, run

__all__ = ["Limits", "Place", "Settings", "places", "run"]
