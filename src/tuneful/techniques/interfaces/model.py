"""The shape of a model: form in, network out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tuneful.techniques.interfaces.technique import Technique

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from tuneful.core.form import Form, FormKind
    from tuneful.techniques.interfaces.optimizer import Rate


class Model(Technique):
    """Makes a network."""

    family: ClassVar[str] = "model"
    serves: ClassVar[tuple[FormKind, ...]] = ()  # kinds of input; () is any
    places: ClassVar[bool] = False  # can it answer for each place of a sequence?
    causal: ClassVar[bool] = False  # can each of these answers look back only, where the form asks for it?
    stackable: ClassVar[str] = ""  # why K of its networks cannot train as one tensor program (torch.func.vmap); "": they can
    looks: ClassVar[int] = 0  # how many examples of train `look_` is shown
    filled: ClassVar[bool] = False  # do its networks come with weights that no init may overwrite?

    @abstractmethod
    def build(self, form: Form) -> nn.Module:
        """A network from [B, *form.shape] to [B, *form.answer] (logits, or standardized targets); while it trains perhaps
        K times for each example, [B * K, L], one answer after the other: members, each judged by itself.
        Weights may hold anything: an Init fills them. Whoever builds for data of unknown kind asks `techniques.models.make`
        instead, which refuses what `serves` and `places` leave out. Raises ModelError when the shape cannot be served.
        """

    def learn_(self, net: nn.Module, x: NDArray[Any], y: NDArray[Any]) -> None:
        """What is counted in the training split before the first step, put into buffers of the network. net: what `build` made;
        x, y: all examples as the split holds them; class numbers below 0 are of no class."""

    def look_(self, net: nn.Module, x: Tensor) -> None:
        """What is found in examples of train as the network sees them (`looks` of them), put into buffers. net: what `build` made."""

    def rates(self, net: nn.Module) -> dict[str, Rate]:
        """Factors of the optimizer's rates by parameter, as an Init's; both are multiplied. net: what `build` made."""
        return {}
