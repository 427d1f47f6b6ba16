"""A network for a form, refused in a sentence when the model cannot serve it."""

from __future__ import annotations

from torch import nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.interfaces import Model


def make(model: Model, form: Form) -> nn.Module:
    """What `model.build` gives. Raises ModelError when the model does not serve this kind of input or answer."""
    name = getattr(model, "kind", type(model).__name__)
    if model.serves and form.kind not in model.serves:
        wanted = " and ".join(model.serves)
        raise ModelError(
            f"model.{name} takes {wanted} data; these are {form}", "`tuneful list model` says what each model takes"
        )
    if form.each == "place" and not model.places:
        places = "pixel of an image" if form.kind == "image" else "place of a sequence"
        raise ModelError(
            f"model.{name} gives one answer for an example; this task wants one for each {places}",
            "take model=unet" if form.kind == "image" else "take model=transformer, or a recurrent one",
        )
    if form.causal and not model.causal:
        raise ModelError(
            f"model.{name} looks at all places, and this task asks what comes next: it would see the answer",
            "take model=decoder, or a recurrent one",
        )
    return model.build(form)
