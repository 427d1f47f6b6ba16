"""Networks of transformers and timm, by name or from a local folder, with the head that a task asks for.

    timm:resnet18                a name: the weights come from the hub, or from its cache
    transformers:NAME            the same for transformers
    path/to/folder               what either library saved there; no network is used

Source: Wolf et al., EMNLP 2020, arXiv:1910.03771 (transformers); Wightman 2019, doi 10.5281/zenodo.4414861 (timm).
"""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.models import shim

LIBRARIES = ("timm", "transformers")


class Logits(nn.Module):
    """A network of transformers as one of ours: one tensor in, the logits out. padding: the token that fills up there; in our
    texts that is 0, so the two numbers change places (as in `runtime.library`)."""

    def __init__(self, net: nn.Module, tokens: bool, padding: int) -> None:
        super().__init__()
        self.net, self.tokens, self.padding = net, tokens, padding

    def forward(self, x: Tensor) -> Tensor:
        if self.tokens:
            there = (x != 0).long()
            if self.padding:
                x = torch.where(x == 0, self.padding, torch.where(x == self.padding, 0, x))
            return self.net(input_ids=x, attention_mask=there).logits
        return self.net(pixel_values=x).logits


def library(name: str) -> tuple[str, str]:
    """("timm" or "transformers", what it is called there), or ("", "") for a name that is neither's. A folder is asked for its
    config.json. Raises ModelError for a folder without one."""
    first, _, rest = name.partition(":")
    if first in LIBRARIES and rest:
        return first, rest
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return "", ""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} has no config.json that can be read ({error})", "save the network with save_pretrained(FOLDER)"
        ) from error
    if "model_type" in config:
        return "transformers", name
    if "architecture" in config:
        return "timm", name
    raise ModelError(f"{folder}/config.json names neither a model_type (transformers) nor an architecture (timm)")


def fetched(which: str, name: str, form: Form, *, filled: bool) -> tuple[nn.Module, set[str]]:
    """The network with a head of form.outputs numbers, and the names of its parameters that no weights were found for (its
    head); filled: with its weights, else as the library draws them.

    Raises: MissingError when the library is not installed; ModelError when the name is not known, its weights cannot be had, or
    the network takes other data.
    """
    if form.each == "place":
        raise ModelError("a pretrained network gives one answer for an example; this task wants one for each place")
    return (_timm(name, form, filled), set()) if which == "timm" else _transformers(name, form, filled)


def _timm(name: str, form: Form, filled: bool) -> nn.Module:
    if form.kind not in ("image", "spectrogram"):
        raise ModelError(f"networks of timm take images; these are {form}")
    timm = shim.library("timm")
    folder = Path(name).expanduser()
    settings: dict[str, Any] = {"num_classes": form.outputs, "in_chans": form.shape[0]}
    try:
        if folder.is_dir():
            name = f"local-dir:{folder}"
        elif not timm.is_model(name.partition(".")[0]):
            near = ", ".join(difflib.get_close_matches(name, timm.list_models(), n=3))
            raise ModelError(f"timm has no network {name}" + (f"; alike are {near}" if near else ""))
        sized = {**settings, "img_size": tuple(form.shape[1:])}
        try:  # Transformers of patches are made for one size; convolutional networks take any, and no such argument
            return timm.create_model(name, pretrained=filled, **sized)
        except TypeError:
            return timm.create_model(name, pretrained=filled, **settings)
    except ModelError:
        raise
    except Exception as error:
        raise _unavailable("timm", name, folder.is_dir(), error) from error


def _transformers(name: str, form: Form, filled: bool) -> tuple[nn.Module, set[str]]:
    if form.kind not in ("image", "spectrogram", "tokens"):
        raise ModelError(f"networks of transformers take images or tokens; these are {form}")
    transformers = shim.library("transformers")
    folder = Path(name).expanduser()
    local = folder.is_dir()
    tokens = form.kind == "tokens"
    kind: Any = transformers.AutoModelForSequenceClassification if tokens else transformers.AutoModelForImageClassification
    try:
        config = transformers.AutoConfig.from_pretrained(str(folder) if local else name, local_files_only=local)
        config.num_labels = form.outputs
        if tokens and form.vocabulary != config.vocab_size:
            raise ModelError(
                f"{name} knows {config.vocab_size} tokens; the data have {form.vocabulary}, so their numbers mean other words",
                f"write tokens={name if local else 'FOLDER'}, where the network's own tokenizer.json lies",
            )
        most = getattr(config, "max_position_embeddings", None)
        if tokens and isinstance(most, int) and form.shape[0] > most:
            raise ModelError(f"{name} reads {most} tokens at most; these texts have {form.shape[0]}", f"write length={most}")
        if not tokens:
            _sized(config, form, name)
        fresh: set[str] = set()
        if filled and torch.get_default_device().type != "meta":
            with _quiet(transformers):
                net, told = kind.from_pretrained(
                    str(folder) if local else name, config=config, local_files_only=local, ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )  # fmt: skip
            fresh = _fresh(net, told, name)
        else:
            net = kind.from_config(config)
    except ModelError:
        raise
    except Exception as error:
        raise _unavailable("transformers", name, local, error) from error
    padding = getattr(config, "pad_token_id", None)
    made = Logits(net.float().train(), tokens, 0 if padding is None else int(padding))
    return made, {f"net.{key}" for key in fresh}


def _fresh(net: nn.Module, told: Any, name: str) -> set[str]:
    """The parameters that are new: those of the head. Raises ModelError when the weights lack others, or have them in other shapes."""
    new = {*told["missing_keys"], *(one[0] if isinstance(one, tuple) else one for one in told["mismatched_keys"])}
    body = f"{getattr(net, 'base_model_prefix', '')}."
    lost = sorted(key for key in new if key.startswith(body) and "pooler" not in key)
    if lost:
        raise ModelError(
            f"the weights of {name} lack {len(lost)} tensors of the network, or have them in other shapes: "
            f"{', '.join(lost[:8])}{' ...' if len(lost) > 8 else ''}",
            f"not used: {', '.join(sorted(told['unexpected_keys'])[:8])}" if told["unexpected_keys"] else "",
        )
    return new


@contextlib.contextmanager
def _quiet(transformers: Any) -> Generator[None]:
    """Without its progress bar and its advice to train a new head, which is what we are about to do."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()


def _sized(config: Any, form: Form, name: str) -> None:
    channels, size = getattr(config, "num_channels", form.shape[0]), getattr(config, "image_size", None)
    want = [channels, *((size, size) if isinstance(size, int) else size or form.shape[1:])]
    if want != list(form.shape):
        raise ModelError(
            f"{name} takes images of {'x'.join(map(str, want))}; these are {'x'.join(map(str, form.shape))}",
            f"write image_size={want[1]}" if want[0] == form.shape[0] else "",
        )


def _unavailable(which: str, name: str, local: bool, error: Exception) -> ModelError:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
    if local:
        return ModelError(
            f"{which} cannot load {name}: {type(error).__name__}: {line}", "save it again with save_pretrained"
        )
    return ModelError(
        f"{which} cannot load {name}, which is no local folder: {type(error).__name__}: {line}",
        "where the hub cannot be reached, copy the network's folder here and give its path",
    )
