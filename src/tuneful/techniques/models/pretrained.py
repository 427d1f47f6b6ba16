"""Pretrained: a network whose weights are there already, and what of it shall learn.

    model=pretrained name=path/to/folder train=head                        # probed: only the head learns
    model=pretrained name=timm:resnet18 train=all fade=0.8                 # early layers learn more slowly
    model=pretrained name=resnet weights=w.safetensors arguments.depth=34  # a model of ours, or net.py:Net, and a file

    rate of layer l = lr * fade^(layers behind it)

Frozen batch norms keep their statistics. Inits leave such a network alone; only its head is new. Both libraries normalize
images to about mean 0 and deviation 1, as tuneful does.

Source: Yosinski et al., NeurIPS 2014, arXiv:1411.1792; layer-wise rates: Howard & Ruder, ACL 2018, arXiv:1801.06146.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.config import Positive, Whole, nearest
from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.interfaces import Model, Rate
from tuneful.techniques.models.depth import layers
from tuneful.techniques.models.hub import Logits, fetched, library
from tuneful.techniques.models.lora import adapt_
from tuneful.techniques.models.make import make
from tuneful.techniques.models.own import Own
from tuneful.techniques.models.weights import load_


class Pretrained(Model):
    """For few examples: most of what is to be learned has been learned elsewhere."""

    source: ClassVar[str] = "Yosinski et al., NeurIPS 2014, arXiv:1411.1792"
    cost: ClassVar[str] = "the network's; train=head computes no gradients below the head"
    hint: ClassVar[str] = "name is a folder, timm:NAME, transformers:NAME, a model of ours or net.py:Net"
    stackable: ClassVar[str] = "its forward() is a library's, and may hold what vmap cannot batch"
    filled: ClassVar[bool] = True

    kind: Literal["pretrained"] = "pretrained"
    name: str  # a folder, timm:NAME, transformers:NAME, one of our models, or file.py:Name of your own
    weights: str = ""  # a safetensors file; needed for our models and your own
    arguments: Mapping[str, Any] = {}  # settings of our model, or arguments of your own
    train: str = "all"  # what learns: all, head, or last:N (the head and the N layers before it)
    fade: Annotated[float, Field(gt=0, le=1)] = 1.0  # factor of the rate from each layer to the one before it
    lora: Whole = 0  # rank of differences that are learned in place of frozen weights; 0: none
    lora_alpha: Positive = 16.0  # strength of the differences: they are multiplied by lora_alpha / lora
    lora_at: str = "*"  # which frozen layers have one, by name (as file names are matched)

    @field_validator("train")
    @classmethod
    def _names_what_learns(cls, value: str) -> str:
        number = value.removeprefix("last:")
        if value not in ("all", "head") and not (value != number and number.isdecimal()):
            raise ValueError("it must be all, head or last:N")
        return value

    @model_validator(mode="after")
    def _leaves_something_to_adapt(self) -> Self:
        if self.lora and self.train == "all":
            raise ValueError(
                f"lora is {self.lora} and train all: no weight is frozen that could have a difference; write train=head"
            )
        return self

    def build(self, form: Form) -> nn.Module:
        """The network with its weights and a head for form.outputs, frozen and adapted as the settings say. Raises MissingError,
        ModelError: no such network or weights, keys that do not fit, a train that freezes nothing or adapts nothing."""
        which, called = library(self.name)
        fresh: set[str] = set()
        if which:
            net, fresh = fetched(which, called, form, filled=not self.weights)
        elif self.weights:
            net = self._ours(form)
        else:
            raise ModelError(
                f"model.name is {self.name}, which is no folder; its weights are told neither",
                "write weights=FILE.safetensors",
            )
        order = layers(net)
        if self.weights and torch.get_default_device().type != "meta":
            inner, before = (net.net, "net.") if isinstance(net, Logits) else (net, "")
            left = load_(inner, Path(self.weights).expanduser(), {name.removeprefix(before) for name in order[-1]})
            fresh = {before + name for name in left}
        return self._prepared(net, order, fresh)

    def rates(self, net: nn.Module) -> dict[str, Rate]:
        """fade^(layers behind) for every parameter, adapters like the layer that they belong to."""
        order = layers(net)
        factors = {name: self.fade ** (len(order) - 1 - at) for at, names in enumerate(order) for name in names}
        return {name: Rate(factor, factor, held=False) for name, factor in factors.items()}

    def _ours(self, form: Form) -> nn.Module:
        if ":" in self.name:
            return Own(factory=self.name, arguments=self.arguments).build(form)
        table: dict[str, type[Model]] = sys.modules[__package__ or ""].TABLE  # that is made of this file too
        if self.name not in table or self.name in ("own", self.kind):
            guess = nearest(self.name, table)
            raise ModelError(
                f"model.name is {self.name}, which is no folder and no model of ours"
                + (f"; did you mean {guess}?" if guess else ""),
                self.hint,
            )
        return make(table[self.name].parse(self.arguments, "model.arguments."), form)

    def _prepared(self, net: nn.Module, order: list[list[str]], fresh: set[str]) -> nn.Module:
        """fresh: names of parameters whose weights are new, and learn in any case."""
        if self.train == "all":
            return net
        kept = 1 if self.train == "head" else 1 + int(self.train.removeprefix("last:"))
        if kept > len(order):
            raise ModelError(
                f"model.train is {self.train}; {self.name} has {len(order) - 1} layers before its head", "write train=all"
            )
        learning = {name for names in order[-kept:] for name in names} | fresh
        for name, p in net.named_parameters():
            p.requires_grad_(name in learning)
        if self.lora:
            frozen = {n.rpartition(".")[0] for n, p in net.named_parameters() if not p.requires_grad}
            if not adapt_(net, self.lora, self.lora_alpha, lambda n: n in frozen and fnmatch.fnmatch(n, self.lora_at)):
                raise ModelError(
                    f"model.lora_at is {self.lora_at}, which fits no frozen Linear, convolution or embedding of {self.name}"
                )
        return Frozen(net)


class Frozen(nn.Module):
    """A network some of whose weights are frozen: its frozen norms keep their statistics in training as well."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def train(self, mode: bool = True) -> Self:
        """As usual, but for norms without a weight that learns."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _NormBase) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self
