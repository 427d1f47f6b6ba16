"""What every model keeps, on inputs of each kind that it serves: shapes, gradients, states, memory, stacks, ONNX, learning.

A new model adds one or more rows to MEMBERS, small ones; forms beyond what `forms` has, it adds there.
"""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

from tuneful.core.form import Form
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.export import export
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.interfaces import Model, Residual
from tuneful.techniques.models import (
    MLP,
    TABLE,
    Airbench,
    ConvNet,
    LeNet,
    Linear,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    ResNet1d,
    ResNet9,
    TableResNet,
    UNet,
    ViT,
    check,
    make,
)  # fmt: skip

SEQUENCES = {
    "bag",
    "attention",
    "conv1d",
    "rnn",
    "lstm",
    "gru",
    "transformer",
    "decoder",
    "encoder_decoder",
    "gru_encoder_decoder",
}
TABLES = {"tabm", "ft_transformer"}  # members in training; levels that a form without groups leaves unused
ELSEWHERE = {"own", "pretrained", "evidence", *SEQUENCES, *TABLES}  # they have tests of their own
MEMBERS: list[Model] = [
    Linear(),
    MLP(width=16, norm="batch"),
    MLP(width=16, norm="layer", activation="leaky_relu"),
    ConvNet(width=8),
    ConvNet(width=8, norm="group", activation="elu"),
    ConvNet(width=8, depth=1, norm="none", activation="tanh"),
    ConvNet(width=8, halve="late"),
    LeNet(width=8, hidden=(16, 12), norm="layer", activation="sigmoid"),
    LeNet(width=8, kernel=5, hidden=()),
    ResNet9(width=8),
    ResNet9(width=8, norm="group", activation="silu"),
    Airbench(widths=(16, 24)),
    Airbench(widths=(16, 16), depth=3, frozen=False),
    ResNet(depth=8, width=8),
    ResNet(depth=10, width=8, order="pre", norm="layer", activation="gelu"),
    ResNet(depth=26, width=8, stem="large"),
    ResNet(depth=26, width=8, order="pre", norm="none"),
    MobileNetV2(width=8, activation="mish"),
    MobileNetV3(width=4),
    MobileNetV3(width=4, variant="large", norm="group"),
    ViT(width=24, depth=2, heads=3),
    ViT(width=24, depth=2, heads=2, pool="class", patch=3),
    TableResNet(width=16),
    UNet(width=8, depth=2),
    ResNet1d(width=8),
    ResNet1d(width=8, depth=2, windows=(5, 2), norm="none", activation="gelu"),
    UNet(width=6, depth=1, convolutions=1, norm="group", activation="silu"),
]


def forms(model: Model) -> list[Form]:
    """A small form of each kind that a model serves."""
    if isinstance(model, UNet):
        return [Form("image", (2, 8, 9), 3, "place")]
    known = {
        "image": Form.of((2, 8, 9), 3),
        "spectrogram": Form("spectrogram", (1, 12, 16), 3),
        "vector": Form.of((5,), 3),
        "series": Form.of((2, 12), 3),
        "tokens": Form.text(12, 30, 3),
    }
    found = [form for kind, form in known.items() if kind in model.serves or not model.serves]
    return [one for form in found for one in ([form, Form.text(12, 30, 3, "place")] if model.places else [form])]


EACH = [pytest.param(m, f, id=f"{m}, {f}") for m in MEMBERS for f in forms(m)]
EXPORTED = [
    pytest.param(m, f, id=str(m), marks=[pytest.mark.slow] if m.kind in [o.kind for o in MEMBERS[:i]] else [])  # type: ignore[attr-defined]
    for i, m in enumerate(MEMBERS)
    for f in forms(m)[:1]
]
FIRST = [pytest.param(m, forms(m)[0], id=str(m)) for m in MEMBERS]


def built(model: Model, form: Form, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = make(model, form)
    apply_(net, He(), seed)
    return net


def some(form: Form, n: int, seed: int = 0) -> Tensor:
    dice = torch.Generator().manual_seed(seed)
    if form.whole:
        return torch.randint(2, form.vocabulary, (n, *form.shape), generator=dice)
    return torch.randn(n, *form.shape, generator=dice)


def test_every_model_is_here():
    assert {m.kind for m in MEMBERS} | ELSEWHERE == set(TABLE)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("model", "form"), EACH)
def test_gives_what_the_form_asks_for_and_counts_its_parameters(model: Model, form: Form):
    net = built(model, form)
    size = check(net, form)
    assert size.parameters == sum(p.numel() for p in net.parameters())
    assert size.multiply_adds > 0


@pytest.mark.parametrize(("model", "form"), EACH)
def test_every_parameter_is_learned_and_no_row_sees_another(model: Model, form: Form):
    net = built(model, form)
    (net(some(form, 16)) * torch.randn(16, *form.answer)).sum().backward()
    learned = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    assert [name for name, p in learned if p.grad is None or not bool(p.grad.any())] == []
    net.eval()
    x = some(form, 5, seed=1)
    with torch.no_grad():
        together = net(x)
        assert torch.equal(net(x), together)  # nothing is drawn
        torch.testing.assert_close(torch.cat([net(row[None]) for row in x]), together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "form"), FIRST)
def test_a_copy_and_a_stored_state_give_the_same_network(model: Model, form: Form):
    net, other = built(model, form), built(model, form, seed=1)
    net(some(form, 8))  # statistics are state too
    x = some(form, 3, seed=1)
    twin = copy.deepcopy(net).eval()
    other.load_state_dict(load(save({k: v.contiguous() for k, v in net.state_dict().items()})))
    net.eval()
    with torch.no_grad():
        y = net(x)
        assert torch.equal(twin(x), y)
        assert torch.equal(other.eval()(x), y)
        next(twin.parameters()).add_(1)
        assert torch.equal(net(x), y)  # a copy shares nothing


@pytest.mark.parametrize(("model", "form"), [p for p in FIRST if p.values[1].kind == "image"])
def test_channels_last_gives_the_same(model: Model, form: Form):
    net, x = built(model, form).eval(), some(form, 3)
    y = net(x)
    again = net.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(again, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "form"), EACH)
def test_is_stackable_or_says_why_not(model: Model, form: Form):
    """K networks as one program (torch.func.vmap) give what each of them gives alone, batch statistics included."""
    if model.stackable:
        pytest.skip(model.stackable)
    nets = [built(model, form, seed) for seed in range(3)]
    x = torch.stack([some(form, 4, seed) for seed in range(3)])
    params, buffers = torch.func.stack_module_state(nets)  # type: ignore[arg-type]
    moving = {k: b for k, b in buffers.items() if b.is_floating_point()}
    base = copy.deepcopy(nets[0])
    for module in base.modules():
        if isinstance(module, _NormBase):
            module.num_batches_tracked = None  # a count that nothing reads, and that cannot be changed in a transform

    def gradients(p: dict[str, Tensor], b: dict[str, Tensor], one: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        def total(p: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            y = torch.func.functional_call(base, (p, b), (one,))
            return y.square().sum(), y

        grads, y = torch.func.grad(total, has_aux=True)(p)
        return y, grads

    with sdpa_kernel(SDPBackend.MATH):  # torch's attention has a rule for stacks in this kernel alone
        at_once, grads = torch.vmap(gradients, randomness="different")(params, moving, x)
    alone = torch.stack([net(one) for net, one in zip(nets, x)])
    torch.testing.assert_close(at_once, alone, rtol=1e-3, atol=1e-4)
    sum(y.square().sum() for y in alone).backward()  # type: ignore[union-attr]
    for name, grad in grads.items():
        if not params[name].requires_grad:
            continue
        single = torch.stack([dict(net.named_parameters())[name].grad for net in nets])  # type: ignore[misc]
        worst = (grad - single).abs().max() / single.abs().max().clamp_min(1e-2)
        assert worst < 2e-2, f"{name}: {worst}"


@pytest.mark.parametrize(("model", "form"), EXPORTED)
def test_exports_what_torch_computes_for_any_number_of_rows(model: Model, form: Form):
    split = Split(some(form, 6).numpy(), np.zeros(6, np.int64))
    task = Task(
        "made", "multiclass", form.shape, ("a", "b", "c"), split, split, Sealed(split), Objective("accuracy", "max"), "f00d",
        {"kind": form.kind, "shape": list(form.shape)},
    )  # fmt: skip
    net = built(model, form)
    net(some(form, 8))
    session = onnxruntime.InferenceSession(export(net, task), providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        x = some(form, rows, seed=rows)
        with torch.no_grad():
            p = net.eval()(x).softmax(-1)
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], p.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("model", "form"), [p for p in FIRST if p.values[0].kind != "linear"])
def test_learns_a_few_examples_by_heart(model: Model, form: Form):
    net = built(model, form)
    x, y = some(form, 12), torch.arange(12) % 3
    y = y[:, None, None].expand(12, *form.answer[1:]) if form.each == "place" else y
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < 0.05:
            return
    assert min(losses) < 0.3, losses[::10]


@pytest.mark.parametrize(("model", "form"), FIRST)
def test_a_residual_branch_gives_nothing_while_its_end_is_zero(model: Model, form: Form):
    net = built(model, form).eval()
    ends = [end for m in net.modules() if isinstance(m, Residual) for end in m.ends()]
    given: list[Tensor] = []
    with torch.no_grad():
        for end in ends:
            for p in end.parameters():
                p.zero_()
            end.register_forward_hook(lambda _module, _x, y: given.append(y))
        net(some(form, 2))
    assert len(given) == len(ends)
    assert not any(bool(y.any()) for y in given)
