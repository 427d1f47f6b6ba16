"""The shape of every plug. A technique is a settings class (its dials) with one or two methods (its idea).

Families never import one another; all of them import only `core` and this file. Outsiders pass instances of their own
subclasses and run our contract tests on them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from tuneful.core.config import Settings

if TYPE_CHECKING:
    import torch
    from optuna.samplers import BaseSampler
    from torch import Tensor, nn

    from tuneful.core.form import Form, FormKind
    from tuneful.core.measure import Measure
    from tuneful.core.task import Objective
    from tuneful.core.trial import Trial

Dice = Callable[[], "torch.Generator"]  # makes a generator, keyed; called by who throws it
Role = Literal["matrix", "embedding", "head", "bias", "norm", "other"]  # of a parameter in its network
Overrides = Mapping[str, float | bool]
Hyper = Any  # one attribute a setting: a float, or a tensor [K, 1, ...] for a stack


class Technique(Settings):
    """What `tuneful list` prints of every technique. `kind` (a Literal field) is its name in recipes."""

    source: ClassVar[str] = ""  # author, venue, year, identifier
    cost: ClassVar[str] = ""  # memory and time beside doing without, in words


class Model(Technique):
    """Makes a network."""

    family: ClassVar[str] = "model"
    serves: ClassVar[tuple[FormKind, ...]] = ()  # kinds of input; () is any
    places: ClassVar[bool] = False  # can it answer for each place of a sequence?
    causal: ClassVar[bool] = False  # can each of these answers look back only, where the form asks for it?
    stackable: ClassVar[str] = ""  # why K of its networks cannot train as one tensor program (torch.func.vmap); "": they can
    filled: ClassVar[bool] = False  # do its networks come with weights that no init may overwrite?

    @abstractmethod
    def build(self, form: Form) -> nn.Module:
        """A network from [B, *form.shape] to [B, *form.answer] (logits, or standardized targets); while it trains perhaps
        K times for each example, [B * K, L], one answer after the other: members, each judged by itself.
        Weights may hold anything: an Init fills them. Whoever builds for data of unknown kind asks `techniques.models.make`
        instead, which refuses what `serves` and `places` leave out. Raises ModelError when the shape cannot be served.
        """

    def rates(self, net: nn.Module) -> dict[str, Rate]:
        """Factors of the optimizer's rates by parameter, as an Init's; both are multiplied. net: what `build` made."""
        return {}


class Loss(Technique):
    """What training makes small: a mean over the weight of the targets.

        prepared = loss.prepare(all targets of train, outputs)      # once
        mean = loss.total(z, target, prepared) / loss.weight(target, prepared)

    Total and weight stand apart so that unequal micro-batches and shards add up to the mean over the whole batch.
    """

    family: ClassVar[str] = "loss"
    classes: ClassVar[bool] = False  # are targets classes (numbers or probabilities) rather than values?

    def prepare(self, target: Tensor, outputs: int) -> Tensor | None:
        """What is learned from all targets of train, once: weights of classes [outputs], or None."""
        return None

    def weight(self, target: Tensor, prepared: Tensor | None) -> Tensor:
        """How much these targets weigh together, a scalar; here how many numbers they are."""
        return target.new_tensor(float(target.numel()))

    @abstractmethod
    def total(self, z: Tensor, target: Tensor, prepared: Tensor | None) -> Tensor:
        """The sum over the batch, a scalar. z: what the body gives, float32 [B, L], [B, T, L] or [B, H, W, L]; target: class
        numbers [B], [B, T] or [B, H, W] (-1: none), probabilities [B, L], or standardized values [B, M]."""


class Init(Technique):
    """Fills the weights of a fresh network. `techniques.inits.apply_` walks the modules, calls `fill_` on each weight, then
    `settle_` once. Weights only have to be drawn once, so all of this happens on the CPU in float32."""

    family: ClassVar[str] = "init"
    gain: ClassVar[float] = 1.0  # of hidden layers; sqrt 2 makes up for what a rectifier removes; the last layer has 1
    joint: ClassVar[bool] = (
        False  # do the numbers of a weight depend on one another? then gates, groups, projections are drawn apart
    )

    @abstractmethod
    def fill_(self, weight: Tensor, fan_in: int, fan_out: int, gain: float, dice: torch.Generator) -> None:
        """Fill one weight of two or more axes in place; biases and norms are the caller's (zeros and ones)."""

    @property
    def drawer(self) -> Init:
        """Who fills the single weights, with which gain: itself, or another init that this one builds upon."""
        return self

    @property
    def looks(self) -> int:
        """How many examples of the training split `settle_` wants to see; 0 where the data have no say."""
        return 0

    @property
    def twin(self) -> Mapping[str, Any]:
        """Changes of the recipe, by dotted path, that give the network which this one is compared with ({"model.width": 64},
        say): the loop builds it without memory and hands it to `settle_` and `rates`. Empty: there is none."""
        return {}

    def settle_(self, net: nn.Module, sample: Tensor | None, twin: nn.Module | None) -> None:
        """Change what concerns more than one weight, in place, after all are filled. sample: `looks` normalized examples;
        twin: see there, on the meta device. Calling it again after another filling gives the same network again."""

    def rates(self, net: nn.Module, twin: nn.Module | None) -> dict[str, Rate]:
        """Factors of the optimizer's rates by the name of the parameter; names that are missing have factors of 1."""
        return {}


@dataclass(frozen=True)
class Rate:
    """Factors of an optimizer's rates for one parameter: of rates whose step grows with the gradient (SGD's), and of rates
    whose step does not (`Optimizer.scale_free`, Adam's)."""

    following: float = 1.0
    free: float = 1.0
    held: bool = True  # does rate * decay stay as it was? Else the decay's pull follows the rate


class Optimizer(Technique):
    """A rule that turns gradients into steps.

    `state` names the tensors that it keeps per parameter and `numbers` plain numbers beside them, with their first values;
    `rates` names the settings that a schedule's factor multiplies, in a stack as for one model; `fixed` names settings that
    give the computation its shape, which all trials of a stack share.
    """

    family: ClassVar[str] = "optimizer"
    state: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[Mapping[str, float]] = {}
    rates: ClassVar[tuple[str, ...]] = ("lr",)
    scale_free: ClassVar[tuple[str, ...]] = ()  # those of `rates` whose step stays as long when all gradients are doubled
    unrated: ClassVar[str] = ""  # why factors of `Rate` do not hold for it (Muon: its steps are orthogonal); "": they do
    fixed: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[bool] = False  # is it meant for the whole training split as one batch?
    averages: ClassVar[bool] = False  # does it keep an average of its own? then `judged` gives it
    unsaved: ClassVar[str] = ""  # why a run cannot save its state exactly; "": it can
    closure: ClassVar[bool] = False  # does it ask for gradients itself? then `step` needs a function that makes them
    stackable: ClassVar[str] = ""  # why K trials of it cannot be stepped as one tensor program; "": they can

    groups: Overrides = Field(default_factory=dict)  # what some parameters do otherwise: "NAME PATTERN.setting" = value
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # rate of a layer as a share of the rate of the one after it

    @field_validator("groups")
    @classmethod
    def _known_settings(cls, groups: Mapping[str, float | bool]) -> Mapping[str, float | bool]:
        fields = [name for name in cls.hypers() if name not in cls.fixed]
        for key in groups:
            pattern, _, name = key.rpartition(".")
            if not pattern or name not in fields:
                raise ValueError(
                    f"each key must be a pattern of names, a dot and one of {', '.join(fields)}; {key!r} is not"
                )
        return groups

    @classmethod
    def hypers(cls) -> tuple[str, ...]:
        """The settings that `step_` reads from h, and that a group may override."""
        return tuple(name for name in cls.model_fields if name not in ("kind", "groups", "layer_decay"))

    def begin(self, p: Tensor, h: Hyper) -> dict[str, Tensor]:
        """The tensors in the state of a parameter before its first step: zeros, unless the rule says otherwise."""
        return {name: p.detach().clone().zero_() for name in self.state}

    def separable(self, h: Hyper) -> bool:
        """Does every number of a parameter move by itself, whatever its neighbours? Then the shell may step many small
        tensors as one, large ones in pieces, and complex ones as pairs of real numbers."""
        return False

    def special(self, role: Role) -> Mapping[str, float | bool]:
        """What a parameter of this role does otherwise, by our names of settings."""
        return {"decay": 0.0} if role in ("bias", "norm") else {}

    def judged(self, p: Tensor, s: Mapping[str, Any], h: Hyper) -> Tensor | None:
        """Where a parameter shall be when the network is judged and kept: a new tensor, or None for where it is."""
        return None

    @abstractmethod
    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        """One step, in place, of p and of the tensors in s; g is only read.

        p, g and the state share one shape, [*] for one model or [K, *] for a stack of K trials. h has one attribute a
        field of the settings. A number of h is a float, or for a stack a tensor of shape [K, 1, ...] with as many axes as
        p, of p's type or float64 (coefficients such as 1 - beta2 ** t are then worked out in float64 and cast to p's type).
        Flags and `fixed` settings are plain. t counts from 1: an int, or for a stack whose members differ a tensor of shape
        [K, 1, ...]. The rule replaces its `numbers` in s (floats, or tensors [K, 1, ...] of float64).
        """

    @abstractmethod
    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        """A `torch.optim.Optimizer` over parameters, groups or a whole network: torch's own fused class where it has one,
        else the rule.

        A network is parted into groups by what its parameters are (`optimizers.groups`). A group may override any setting by
        its own name ({"params": [...], "decay": 0.0}), whichever class is built; `group["lr"]` is the rate in both, so the loop
        writes `group["lr"] = group["initial_lr"] * factor` before each step, and other `rates` follow.
        """


class Schedule(Technique):
    """The learning rate over a run, as a factor of the optimizer's lr."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """The factor for step 0 <= step < steps of a run of `steps` steps. Stretches when steps change; never truncates."""

    def reaction(self, values: Sequence[float], direction: Literal["max", "min"]) -> float:
        """A further factor, from the values of the objective so far (one a validation, oldest first). A pure function, so that a
        resumed run decides as it would have; 1 where a schedule looks at none."""
        return 1.0


class Regularizer(Technique):
    """Something that keeps a network from learning the noise. The loop asks each for what it knows how to do: a subclass
    overrides the hooks it needs; the others do nothing, so the loop may call every hook of all of them.

    One run calls them in this order:

        for r in regularizers: r.prepare(net)                        # once, before the optimizer is built
        memories = [r.start_memory(params) for r in regularizers]    # once; what limits and penalties remember
        averages = [r.start_average(net) for r in regularizers]      # once; None where none is kept
        every step, t = 1, 2, ...:
            p = r.targets(p)                                         # after the augments, before the loss
            with r.during(params, dice):                             # of those that shake
                loss.backward()
            r.penalize_(params)                                      # all penalties first
            r.limit_(params, memory)                                 # then all limits
            r.disturb_(params, t, dice)                              # then all noise; then optimizer.step()
            r.settle_(group, lr)                                     # for each group of parameters and its rate
            r.update_average_(average, net, t, steps)                # where start_average gave one
        every validation:
            states = r.readings(average, net, t, steps)              # what may be judged and shipped, by name
            reason = r.ends(values, direction)                       # "" goes on; a reason stops the run

    Memories and averages are part of a run's state. dice() is a generator keyed by the run's seed, the technique and the
    step, on the device of the parameters: the only source of chance.
    """

    family: ClassVar[str] = "regularizers"
    shakes: ClassVar[bool] = False  # are weights others while the gradient is taken? Then `during` is asked
    stale: ClassVar[bool] = False  # do its readings need the statistics of their batch norms taken anew?

    def prepare(self, net: nn.Module) -> None:
        """Change the network once, before the first step (dropout rates). Raises ModelError when it does not apply."""

    def targets(self, p_BL: Tensor) -> Tensor:
        """The target probabilities [B, L] that the loss shall use, rows summing to 1 (label smoothing); classification and
        training only. p_BL is not modified."""
        return p_BL

    def during(self, params: Sequence[nn.Parameter], dice: Dice) -> AbstractContextManager[None]:
        """Around forward and backward: weights that are others inside (weight noise) and to the bit what they were outside."""
        return nullcontext()

    def penalize_(self, params: Sequence[nn.Parameter]) -> None:
        """Add the gradient of a penalty to each `p.grad`, in place (L1, L2); a parameter without one is left alone."""

    def start_memory(self, params: Sequence[nn.Parameter]) -> dict[str, Tensor]:
        """What `limit_` remembers from step to step, by names of its own; it changes them in place."""
        return {}

    def limit_(self, params: Sequence[nn.Parameter], memory: dict[str, Tensor]) -> None:
        """Limit the gradients `p.grad` in place (clipping), just before the optimizer's step; never waits for the device."""

    def disturb_(self, params: Sequence[nn.Parameter], t: int, dice: Dice) -> None:
        """Add noise to the gradients `p.grad` in place, after all limits."""

    def settle_(self, params: Sequence[nn.Parameter], lr: float) -> None:
        """Change the weights in place after the optimizer's step (a proximal step); lr: the rate that the step was taken with."""

    def start_average(self, net: nn.Module) -> dict[str, Tensor] | None:
        """What the average of the network's state begins with, detached copies; None when this technique keeps none. Keys
        are those of `net.state_dict()`, or names of its own where `readings` makes states of them."""
        return None

    def update_average_(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> None:
        """Move the average towards the network in place, after optimizer step t = 1, 2, ... of a run of `steps`."""

    def readings(self, average: dict[str, Tensor], net: nn.Module, t: int, steps: int) -> dict[str, dict[str, Tensor]]:
        """States that `net.load_state_dict` takes, by names for people. Where there are several, the loop judges each, and
        the best on valid is what is read out."""
        return {"the average": average}

    def ends(self, values: Sequence[Measure], direction: Literal["max", "min"]) -> str:
        """Why the run should end after these values of the objective (one a validation, oldest first), or "" to go on. A
        pure function, so that a resumed run decides as it would have."""
        return ""


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


class Proposer(Technique):
    """Says which recipe to try next, as a sampler of Optuna."""

    family: ClassVar[str] = "proposer"

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """An Optuna sampler all of whose chance comes from `seed`. A new one is made for every proposal, with a seed keyed by
        the trial's number, so that an interrupted search goes on as if it had not been."""

    @abstractmethod
    def because(self, finished: int) -> str:
        """Why the next proposal is what it is, when `finished` trials have values."""


@dataclass(frozen=True)
class Step:
    """What to do next: train `trial` (None: a new one) until it has `epochs` epochs."""

    trial: int | None
    epochs: float
    because: str


class Scheduler(Technique):
    """Says which trial gets the next epochs."""

    family: ClassVar[str] = "scheduler"

    @abstractmethod
    def next(self, trials: Sequence[Trial], objective: Objective, epochs: float) -> Step:
        """What to do next, given all trials so far; epochs is the length of a full run."""


class Residual(ABC):
    """A block of a network that adds branches to what enters it, y = x + branch(x), derives from this beside nn.Module, as in
    `class Block(nn.Module, Residual)`. By that it is recognized; torch's own Transformer layers are known without it."""

    @abstractmethod
    def ends(self) -> Sequence[nn.Module]:
        """Of each branch the last module with a weight (a norm's scale, a Linear, a convolution): while it is zero, and its
        bias, the branch gives nothing."""


class Attention(ABC):
    """A module that compares queries with keys derives from this, so that an init may change how (mup), as torch's."""

    head: int  # numbers of a query, and of a key, in one head
    scale: float  # what their product is multiplied by, 1 / sqrt(head) as built; forward() reads it at every call


__all__ = [
    "Attention", "Augment", "Init", "Loss", "Model", "Optimizer", "Proposer", "Rate", "Regularizer", "Residual", "Schedule",
    "Scheduler", "Step", "Technique",
]  # fmt: skip
