"""Evidence: counts against scikit-learn's and plain formulas, what fills up, both ways to compute, ONNX, members while training, learning."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.pipeline.export import _to_onnx, finished, served
from tuneful.techniques.models import GRU, Bag, Evidence, check, make

FORM = Form("grams", (12,), 3, vocabulary=21, groups=(8, 12))


def sets(rows: int, seed: int = 0, most: int = 9) -> np.ndarray:
    dice = np.random.default_rng(seed)
    x = np.zeros((rows, 12), np.int64)
    for row in x:
        held = np.sort(dice.choice(20, dice.integers(1, most + 1), replace=False)) + 1
        row[: len(held)] = held
    return x


def counted(form: Form = FORM, model: Evidence | None = None, seed: int = 0):
    model = model or Evidence()
    x, y = sets(40, seed), np.arange(40) % max(2, form.outputs)
    net = make(model, form)
    model.learn_(net, x, y)
    return net, x, y


def test_ratios_and_rarity_are_those_of_the_formulas():
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.naive_bayes import BernoulliNB

    net, x, y = counted()
    there = np.zeros((40, 21))
    there[np.arange(40)[:, None], x] = 1
    words = there[:, 1:9]
    ratio, rarity = net.members[0]
    held = BernoulliNB().fit(words, y).feature_count_  # type: ignore[union-attr]
    p, q = 1 + held, 1 + held.sum(0) - held
    wanted = np.log(p / p.sum(1, keepdims=True)) - np.log(q / q.sum(1, keepdims=True))
    np.testing.assert_allclose(ratio.scale[1:].numpy(), wanted.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rarity.scale[1:, 0].numpy(), TfidfTransformer().fit(words).idf_, rtol=1e-5)
    assert (ratio.scale[0] == 0).all()
    assert (rarity.scale[0] == 0).all()


def test_answers_are_those_of_the_formula():
    net, x, _ = counted()
    net.eval()
    wanted = np.zeros((len(x), 3))
    for start, members in zip((0, 8), net.members, strict=True):
        for member in members:
            scale, weight = member.scale.expand(-1, 3).detach().double().numpy(), member.weight.detach().double().numpy()
            for row, numbers in enumerate(x):
                at = [n - start for n in numbers if start < n <= start + len(scale) - 1]
                length = max(1e-6, 0) if not at else np.sqrt((scale[at] ** 2).sum(0))
                wanted[row] += (scale[at] * weight[at]).sum(0) / np.maximum(length, 1e-6) / 4
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [Evidence(), Evidence(rarity=False), Bag(width=8, ngrams=2)], ids=str)
def test_what_fills_up_changes_nothing_and_an_empty_text_is_served(model):
    net = make(model, FORM).eval()
    if isinstance(model, Evidence):
        model.learn_(net, sets(40), np.arange(40) % 3)
    check(net, FORM)
    x = torch.from_numpy(sets(6, 1, 5))
    x[2] = 0
    torch.testing.assert_close(net(torch.cat([x, torch.zeros(6, 3, dtype=torch.int64)], dim=1)), net(x))
    assert torch.isfinite(net.train()(torch.zeros_like(x))).all()
    net(x).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_members_answer_one_by_one_while_it_trains():
    net, x, _ = counted()
    told = net.train()(torch.from_numpy(x))
    assert told.shape == (160, 3)
    torch.testing.assert_close(told.reshape(40, 4, 3).mean(1), net.eval()(torch.from_numpy(x)))


def test_onnx_equals_torch():
    net, x, _ = counted()
    model = finished(_to_onnx(served(net, "multiclass"), torch.from_numpy(x[:1]), "probabilities"))
    session = onnxruntime.InferenceSession(model)
    x[3] = 0
    (told,) = session.run(None, {"x": x})
    wanted = torch.softmax(net.eval()(torch.from_numpy(x)), dim=1).detach().numpy()
    np.testing.assert_allclose(told, wanted, rtol=1e-4, atol=1e-5)


def test_outsiders_are_not_counted_and_targets_that_are_no_class_leave_rarity_alone():
    x, y = sets(40), np.arange(40) % 3
    with_, without = make(Evidence(), FORM), make(Evidence(), FORM)
    Evidence().learn_(with_, np.concatenate([x, sets(5, 9)]), np.concatenate([y, np.full(5, -1)]))
    Evidence().learn_(without, x, y)
    torch.testing.assert_close(with_.state_dict(), without.state_dict())
    one = Form("grams", (12,), 1, vocabulary=21, groups=(8, 12))
    net, _, _ = counted(one)
    assert len(list(net.members[0])) == 1
    check(net, one)


def test_counting_alone_tells_classes_that_differ_in_their_words():
    x, y = sets(200, 3), np.arange(200) % 3
    x[:, 0] = np.where(x[:, 0] > 0, y + 1, y + 1)  # the first number is the class
    x = np.sort(np.where(np.isin(x, (1, 2, 3)) & (x != x[:, :1]), 0, x), axis=1)
    net = make(Evidence(rarity=False), FORM)
    Evidence().learn_(net, x, y)
    assert (net.eval()(torch.from_numpy(x)).argmax(1).numpy() == y).mean() > 0.9


def test_models_that_read_the_order_refuse_sets():
    with pytest.raises(ModelError, match="takes tokens"):
        make(GRU(), FORM)
