"""The shape of an augment: all chance is drawn first, then the batch is changed as drawn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tuneful.core.form import Form, FormKind


class Augment(Technique):
    """Changes a batch on the way to the network, while training only.

    All chance and all strengths lie in `draw`, which every trial calls for itself with its own settings and dice; `change`
    does what was drawn, to each example by itself. So K trials with strengths of their own are K draws laid one after the
    other and one change (`techniques.augments.apply_stack`), and each of them gets what it would get alone.
    """

    family: ClassVar[str] = "augments"
    serves: ClassVar[tuple[FormKind, ...]] = ("image", "spectrogram", "vector", "series")  # kinds of input
    moves: ClassVar[bool] = False  # do values end up at other places of the example? Targets of places would not follow
    raw: ClassVar[bool] = False  # of sounds: does it act on the recording, before the spectrogram is made of it?
    partners: ClassVar[tuple[str, ...]] = ()  # the draws that are numbers of other examples in the batch

    def fitted(self, form: Form) -> Augment:
        """This augment for data of a form; another only where more of the form matters than its shape."""
        return self

    @abstractmethod
    def draw(self, shape: Sequence[int], dice: torch.Generator) -> dict[str, Tensor]:
        """All chance for a batch of this shape [B, ...]: tensors [B, ...] on the CPU, whose own shapes must not depend on the
        settings. dice, on the CPU, is the only source of chance. Raises RecipeError for a shape that cannot be served."""

    @abstractmethod
    def change(self, x: Tensor, p: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The batch as drawn; x' and p' have the types and devices of x and p, which are not modified. No strength may be
        read from the settings here: in a stack they are those of one trial."""

    def apply(self, x: Tensor, p: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
        """A changed batch. x: [B, ...] float32, normalized (mean 0, deviation 1), or int64 tokens; p: [B, L] target
        probabilities, standardized targets, or class numbers. Neither is modified. The same dice give the same batch on every
        device."""
        return self.change(x, p, self.draw(x.shape, dice))
