"""What goes into a network and what comes out of it: all that a model must know of the data to be built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tuneful.core.errors import ModelError

FormKind = Literal["image", "spectrogram", "vector", "series", "tokens", "pair", "grams"]


@dataclass(frozen=True)
class Form:
    """The shape of a network's two ends.

    kind and shape: of one example as the network takes it, after what its front does (normalization, log-mel):
        image        (C, H, W) float32, mean 0 and deviation 1 per channel
        spectrogram  (1, F, T) float32, F frequency bands over T frames
        vector       (D,) float32, a table's features or any numbers
        series       (C, T) float32, C channels over T moments
        tokens       (T,) int64, numbers below `vocabulary`; 0 fills up short ones, 1 is anything unknown
        pair         (S + T,) int64: a source of S tokens below `vocabulary`, then the target so far, T tokens below `outputs`;
                     `source` is S
        grams        (M,) int64: numbers below `vocabulary` in rising order, each once, the n-grams that a text holds; 0 fills up
    outputs: how many numbers the network gives for each example ([B, outputs]) or, where each is "place", for each place of
        the sequence ([B, T, outputs]) or each pixel of the image ([B, outputs, H, W], as torch's networks give them).
    groups: of a vector, the sizes of its runs of features that belong together (a category's one-hot levels; 1: a number);
        () where nothing is known. They add up to D. Of grams, how many of the numbers from 1 on are of each view (words, letters).
    causal: may an answer look at its own place and those before it alone? So it is where the answer is what comes next.
    """

    kind: FormKind
    shape: tuple[int, ...]
    outputs: int
    each: Literal["example", "place"] = "example"
    vocabulary: int = 0
    source: int = 0
    groups: tuple[int, ...] = ()
    causal: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], outputs: int) -> Form:
        """The usual meaning of a shape: three axes are an image, two a series, one a vector.

        >>> Form.of((3, 32, 32), 10).kind, Form.of((7, 96), 1).kind, Form.of((20,), 2).kind
        ('image', 'series', 'vector')
        """
        kinds: dict[int, FormKind] = {1: "vector", 2: "series", 3: "image"}
        if len(shape) not in kinds:
            raise ModelError(
                f"examples of shape {list(shape)} have no usual meaning; [D], [C, T] or [C, H, W] is wanted", "reshape them"
            )
        return cls(kinds[len(shape)], tuple(shape), outputs)

    @classmethod
    def text(cls, length: int, vocabulary: int, outputs: int, each: Literal["example", "place"] = "example") -> Form:
        """Sequences of up to `length` tokens."""
        return cls("tokens", (length,), outputs, each, vocabulary)

    @property
    def whole(self) -> bool:
        """Does the network take whole numbers (tokens) rather than floats?"""
        return self.kind in ("tokens", "pair", "grams")

    @property
    def answer(self) -> tuple[int, ...]:
        """The shape of the network's output for one example."""
        if self.each == "example":
            return (self.outputs,)
        if self.kind == "image":
            return (self.outputs, *self.shape[1:])
        return (self.shape[-1] - self.source, self.outputs)

    def with_outputs(self, outputs: int) -> Form:
        """The same input with another number of outputs."""
        return replace(self, outputs=outputs)

    def __str__(self) -> str:
        what = f"{self.kind} of {'x'.join(map(str, self.shape))}"
        return f"{what}, {self.vocabulary} different tokens" if self.whole else what
