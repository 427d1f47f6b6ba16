"""torch's own table of optimizer inputs and errors (`optim_db`), for every class of ours that corresponds to one of torch's.

Each input of the table is put into our words and must walk as torch's class does; each error of the table must be an error
here. What cannot be put into our words is named below with its reason, and nothing else may be left out.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError, RecipeError
from tuneful.techniques.interfaces import Optimizer
from tuneful.techniques.optimizers import TABLE, Adam

pytestmark = pytest.mark.slow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    table = pytest.importorskip(
        "torch.testing._internal.common_optimizers", reason="torch's table of optimizers needs expecttest, of the extra dev"
    )

KIND = {"Adadelta": "adadelta", "Adafactor": "adafactor", "Adagrad": "adagrad", "Adam": "adam", "Adamax": "adamax", "AdamW": "adamw",
        "LBFGS": "lbfgs", "Muon": "muon", "NAdam": "nadam", "RAdam": "radam", "RMSprop": "rmsprop", "SGD": "sgd"}  # fmt: skip
ABSENT = {"ASGD", "Rprop", "SparseAdam"}  # torch has them, we have not
NAMES = {
    "lr": "lr", "weight_decay": "decay", "eps": "eps", "momentum": "momentum", "nesterov": "nesterov", "rho": "rho", "lr_decay": "lr_decay",
    "initial_accumulator_value": "initial", "centered": "centred", "momentum_decay": "psi", "max_iter": "iterations", "history_size": "history",
    "ns_steps": "iterations", "d": "clip",
}  # fmt: skip
OTHERWISE = {  # of torch's words those that are no setting of the rule, or of which we have torch's default alone
    "foreach", "fused", "capturable", "differentiable", "maximize", "dampening", "max_eval", "tolerance_grad", "tolerance_change",
    "ns_coefficients", "adjust_lr_fn", "amsgrad", "decoupled_weight_decay",
}  # fmt: skip
NOT_OURS = {  # (class, description): why
    ("SGD", "dampening"): "dampening is torch's own; the paper has none",
    ("AdamW", "amsgrad"): "amsgrad decays as its paper does, coupled",
    ("NAdam", "decoupled_weight_decay"): "nadamw is AlgoPerf's form, which is another rule",
    ("RAdam", "decoupled_weight_decay"): "radam decays as torch does by default, coupled",
    ("Muon", "passing alternative ns_coefficients"): "the coefficients are the author's",
    ("LBFGS", "tolerance_grad"): "the tolerances are torch's",
}
NO_ERROR = {  # (class, description): why it is none here
    ("Adafactor", "epsilon1 should be >= 0"): "epsilon1 is no setting",
    ("Muon", "only support `original` and `match_rms_adamw`"): "match_rms is a flag: a third way cannot be asked for",
    ("LBFGS", "all optimizer params should be with/without names"): "names are left out: all parameters are one vector",
    ("LBFGS", "all optimizer param groups should be with/without names."): "as above",
}


def words_of(info: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """All words of torch's class with their defaults, and what the table gives."""
    defaults = {
        name: p.default
        for name, p in inspect.signature(info.optim_cls.__init__).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    return {**defaults, **given}


def translated(info: Any, given: Mapping[str, Any]) -> Optimizer:
    """The same optimizer in our words. Raises KeyError for a word that we do not know, RecipeError for a value that cannot be."""
    name, words = info.optim_cls.__name__, words_of(info, given)
    kind = KIND[name]
    settings: dict[str, Any] = {}
    for word, value in words.items():
        if name == "Adafactor" and word in ("eps", "beta2_decay"):
            settings |= {"least": value[1]} if word == "eps" else {"forgetting": -value}
        elif name == "RMSprop" and word == "alpha":
            settings["beta"] = value
        elif word == "betas":
            settings |= {"beta1": value[0], "beta2": value[1]}
        elif word == "line_search_fn":
            settings["search"] = value or "none"
        elif word in NAMES and (NAMES[word] in TABLE[kind].model_fields or name in ("SGD", "Adam")):
            settings[NAMES[word]] = value
        elif word not in OTHERWISE and not (name in ("Muon", "LBFGS") and word in ("eps", "weight_decay")):
            raise KeyError(word)
    if name == "SGD":
        kind = "momentum" if settings["momentum"] else "sgd"
    if name == "Adam" and words["amsgrad"]:
        kind = "amsgrad"
    if name == "Muon":
        settings |= {"bf16": True, "decay": words["weight_decay"]}
    fields = TABLE[kind].model_fields
    numbers = {k: float(v) if isinstance(v, int) and not isinstance(v, bool) and k not in ("iterations", "history") else v
               for k, v in settings.items() if k in fields}  # fmt: skip
    return TABLE[kind](**numbers)


def cases(errors: bool) -> list[Any]:
    found = []
    for info in table.optim_db:
        if (name := info.optim_cls.__name__) in ABSENT:
            continue
        made = info.optim_error_inputs_func("cpu", torch.float64) if errors else info.optim_inputs_func("cpu")
        for one in made:
            desc = (one.optimizer_error_input if errors else one).desc
            found.append(pytest.param(info, one, id=f"{name}: {desc}"))
    return found


def test_every_class_of_torch_is_ours_or_named():
    assert {info.optim_cls.__name__ for info in table.optim_db} == KIND.keys() | ABSENT


class Net(nn.Module):
    """Two matrices and, where the class takes them, vectors."""

    def __init__(self, matrices: bool) -> None:
        super().__init__()
        dice = torch.Generator().manual_seed(3)
        self.one = nn.Parameter(torch.randn(4, 6, generator=dice, dtype=torch.float64))
        self.two = nn.Parameter(torch.randn(6, 3, generator=dice, dtype=torch.float64))
        if not matrices:
            self.bias = nn.Parameter(torch.randn(3, generator=dice, dtype=torch.float64))

    def loss(self, t: int) -> Tensor:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
        y = torch.tanh(x @ self.one) @ self.two
        return ((y + self.bias if hasattr(self, "bias") else y) - 0.5).square().mean()


def step(optimizer: torch.optim.Optimizer, net: Net, t: int) -> None:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = net.loss(t)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]


@pytest.mark.parametrize(("info", "given"), cases(errors=False))
def test_every_input_of_the_table_walks_as_torch_does(info: Any, given: Any):
    name = info.optim_cls.__name__
    if (name, given.desc) in NOT_OURS:
        pytest.skip(NOT_OURS[name, given.desc])
    settings, maximize = translated(info, given.kwargs), bool(given.kwargs.get("maximize", False))
    theirs, ours = Net(name == "Muon"), Net(name == "Muon")
    reference = info.optim_cls(list(theirs.parameters()), **{**given.kwargs, "foreach": False} if "foreach" in words_of(info, {})
                               else given.kwargs)  # fmt: skip
    built = settings.build([{"params": list(ours.parameters()), **({"maximize": True} if maximize else {})}])
    rough = {"Muon": 5e-3, "LBFGS": 1e-9}.get(name, 1e-10)
    for t in range(1, 9):
        step(reference, theirs, 0 if name == "LBFGS" else t)
        step(built, ours, 0 if name == "LBFGS" else t)
        torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=rough, atol=rough)
    moved = [not torch.equal(p, q) for p, q in zip(ours.parameters(), Net(name == "Muon").parameters(), strict=True)]
    assert all(moved)


def test_what_is_left_out_is_in_the_table():
    """A reason that nothing needs any more would hide the next gap."""
    there = {(info.optim_cls.__name__, one.desc) for info in table.optim_db for one in info.optim_inputs_func("cpu")}
    assert NOT_OURS.keys() - there == set()
    wrong = {
        (info.optim_cls.__name__, one.optimizer_error_input.desc)
        for info in table.optim_db
        for one in info.optim_error_inputs_func("cpu", torch.float64)
    }
    assert NO_ERROR.keys() - wrong == set()


@pytest.mark.parametrize(("info", "wrong"), cases(errors=True))
def test_every_error_of_the_table_is_an_error_here(info: Any, wrong: Any):
    given = wrong.optimizer_error_input
    if (info.optim_cls.__name__, given.desc) in NO_ERROR:
        pytest.skip(NO_ERROR[info.optim_cls.__name__, given.desc])
    values = [v for value in given.kwargs.values() for v in (value if isinstance(value, tuple) else (value,))]
    if tensors := [v for v in values if isinstance(v, Tensor)]:
        if all(v.numel() == 1 for v in tensors) and all(v.ndim == 0 for v in tensors):
            # Wrong beside foreach alone, of which a rule knows nothing: it becomes a number.
            settings = translated(info, given.kwargs)
            assert all(type(getattr(settings, name)) is float for name in ("lr", "beta1", "beta2"))
            return
        with pytest.raises(RecipeError):
            translated(info, given.kwargs)
        return
    if given.kwargs:
        with pytest.raises(RecipeError):
            translated(info, given.kwargs)
        return
    kind = KIND[info.optim_cls.__name__]
    if wrong.error_on is table.OptimizerErrorEnum.STEP_ERROR:
        optimizer = TABLE[kind]().build(given.params)
        with pytest.raises(ModelError, match="complex"):
            optimizer.step()
    elif wrong.error_type is UserWarning:
        with pytest.warns(UserWarning, match=wrong.error_regex):
            TABLE[kind]().build(given.params)
    elif kind == "muon" and "only supports 2D" in wrong.error_regex:
        TABLE[kind]().build(given.params)  # ours gives AdamW's steps to what is no matrix
    else:
        with pytest.raises((wrong.error_type, ModelError, RecipeError)):
            TABLE[kind]().build(given.params)


def test_the_table_would_see_a_wrong_rule():
    """The comparison fails for a rule that is off by one setting."""
    info = next(one for one in table.optim_db if one.optim_cls.__name__ == "Adam")
    theirs = Net(False)
    ours = copy.deepcopy(theirs)
    reference, built = torch.optim.Adam(theirs.parameters()), Adam(beta2=0.99).build(ours.parameters())
    for t in range(1, 9):
        step(reference, theirs, t)
        step(built, ours, t)
    assert translated(info, {}) == Adam()
    assert not torch.allclose(ours.one, theirs.one, rtol=1e-10)
