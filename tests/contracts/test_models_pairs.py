"""Every network of pairs: writing token by token is what it learned of all places at once, whatever is filled up and left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models import EncoderDecoder, GRUEncoderDecoder, check, make
from tuneful.techniques.models.writer import Writer

MODELS: list[Model] = [
    EncoderDecoder(width=16, heads=2),
    EncoderDecoder(width=16, heads=2, positions="learned", norm="rms", depth=1, tied=False),
    GRUEncoderDecoder(width=16),
    GRUEncoderDecoder(width=16, depth=2, tied=False),
]
FORM = Form("pair", (15,), 11, "place", 30, source=8, causal=True)  # 8 of 30 different tokens, then 7 of 11


def built(model: Model, form: Form = FORM) -> Any:
    torch.manual_seed(0)
    net = make(model, form)
    apply_(net, He(), 0)
    return net.eval()


def some(lengths: list[tuple[int, int]], seed: int = 0) -> torch.Tensor:
    """Pairs whose sides have these lengths, filled up with 0."""
    dice = torch.Generator().manual_seed(seed)
    x = torch.cat(
        [torch.randint(3, 30, (len(lengths), 8), generator=dice), torch.randint(3, 11, (len(lengths), 7), generator=dice)], 1
    )
    for row, (first, second) in zip(x, lengths):
        row[first:8], row[8], row[8 + second :] = 0, 2, 0
    return x


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_step_by_step_it_says_what_it_says_of_all_places_at_once(model: Model):
    net, x = built(model), some([(8, 7), (3, 7), (1, 7)])
    assert isinstance(net, Writer)
    memory, carried = net.read(x[:, :8])
    said = []
    for token in x[:, 8:].T:
        logits, carried = net.step(token, memory, carried)
        said.append(logits)
    torch.testing.assert_close(torch.stack(said, dim=1), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_shapes_of_what_is_carried_stay_and_rows_may_be_taken_from_it(model: Model):
    net, x = built(model), some([(8, 7), (3, 7), (5, 7)])
    memory, carried = net.read(x[:, :8])
    _, after = net.step(x[:, 8], memory, carried)
    assert [one.shape for one in after] == [one.shape for one in carried]
    rows = torch.tensor([2, 0])
    told, _ = net.step(x[rows, 9], [one[rows] for one in memory], [one[rows] for one in after])
    torch.testing.assert_close(told, net(x)[rows, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_what_fills_up_the_source_changes_nothing(model: Model):
    """A short source among long ones says what it says in a network that is built for short ones."""
    net, x = built(model), some([(3, 7), (2, 4)])
    short = built(model, Form("pair", (10,), 11, "place", 30, source=3, causal=True))
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("there.")}
    short.load_state_dict(state | {name: value[:3] for name, value in net.state_dict().items() if name == "there.at"})
    torch.testing.assert_close(short(x[:, [0, 1, 2, *range(8, 15)]]), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_while_training_ends_that_nobody_has_are_left_out_and_nothing_else_changes(model: Model):
    net, x = built(model), some([(5, 4), (2, 3)])
    whole = net(x)
    found = net.train()(x)
    assert found.shape == (2, 4, 11)
    torch.testing.assert_close(found, whole[:, :4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_source_without_any_token_gives_finite_numbers(model: Model):
    assert bool(torch.isfinite(built(model)(some([(0, 3)]))).all())


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_both_sides_may_have_vocabularies_of_their_own(model: Model):
    net: nn.Module = built(model)
    assert check(net, FORM).parameters == sum(p.numel() for p in net.parameters())
    tied = getattr(model, "tied")  # noqa: B009
    assert (net.head.weight is net.writes.weight) is tied  # type: ignore[union-attr]
    assert net.reads.weight.shape[0] == 30  # type: ignore[union-attr]
    assert net.writes.weight.shape[0] == 11  # type: ignore[union-attr]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_one_answer_for_a_pair_is_refused(model: Model):
    with pytest.raises(ModelError, match="writes a target token by token"):
        model.build(Form("pair", (15,), 3, "example", 30, source=8))
