"""Models of sequences: any length, what fills up changes nothing, nobody looks ahead where that is forbidden, packed sequences'
answers, ONNX equals torch, stackable or says why not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.pipeline.export import _to_onnx, served
from tuneful.techniques.inits import He, apply_
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models import (
    GRU,
    LSTM,
    RNN,
    TABLE,
    Attention,
    Bag,
    Conv1d,
    Decoder,
    EncoderDecoder,
    GRUEncoderDecoder,
    Transformer,
    check,
    make,
)
from tuneful.techniques.models.sequence import Pooled, turned

SMALL: list[Model] = [
    Bag(width=8, buckets=50, ngrams=3),
    Bag(width=8, buckets=50, depth=1, weigh=False),
    Attention(width=8),
    Conv1d(width=8),
    Conv1d(width=8, norm="none", spread=False, window=4, pool="attention"),
    RNN(embedding=6, width=8),
    LSTM(embedding=6, width=8, depth=2),
    GRU(embedding=6, width=8, directions="one", pool="last"),
    Transformer(width=8, heads=2),
    Transformer(width=8, heads=2, positions="learned", norm="rms", pool="attention"),
    Decoder(width=8, heads=2),
]
PAIR = EncoderDecoder(width=8, heads=2)
PAIRS: list[Model] = [PAIR, GRUEncoderDecoder(width=8)]  # what is particular to them stands in test_models_pairs.py
TEXT = Form.text(12, 30, 3)
TAGS = Form.text(12, 30, 4, "place")
NEXT = Form("tokens", (12,), 30, "place", 30, causal=True)
WORDS = Form("pair", (12,), 30, "place", 30, source=7, causal=True)


def built(model: Model, form: Form, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = make(model, form)
    apply_(net, He(), seed)
    return net.eval()


def sentences(form: Form, lengths: list[int], seed: int = 0) -> torch.Tensor:
    dice = torch.Generator().manual_seed(seed)
    x = torch.randint(2, form.vocabulary, (len(lengths), form.shape[0]), generator=dice)
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    return x


@pytest.mark.parametrize("form", [TEXT, Form.text(1, 5, 2), Form.text(70, 9, 1), TAGS, NEXT], ids=str)
@pytest.mark.parametrize("model", SMALL, ids=str)
def test_serves_texts_of_any_length(model: Model, form: Form):
    if form.each == "place" and not model.places:
        with pytest.raises(ModelError, match="one answer for an example"):
            make(model, form)
        return
    if form.causal and not model.causal:
        with pytest.raises(ModelError, match="would see the answer"):
            make(model, form)
        return
    net = built(model, form)
    check(net, form)
    net.train()(sentences(form, [form.shape[0], 1])).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("form", [Form.of((3, 20), 2), Form("spectrogram", (1, 5, 9), 2)], ids=str)
@pytest.mark.parametrize("model", [m for m in SMALL if not isinstance(m, Bag)], ids=str)
def test_serves_series_and_spectrograms(model: Model, form: Form):
    check(built(model, form), form)


@pytest.mark.parametrize("model", SMALL, ids=str)
def test_what_fills_up_changes_nothing(model: Model):
    long, short = Form.text(12, 30, 3), Form.text(5, 30, 3)
    if getattr(model, "positions", "") == "learned":
        pytest.skip("learned positions are as many as the longest text")
    here, there = built(model, short), built(model, long)
    there.load_state_dict(here.state_dict())
    x = sentences(short, [5, 3])
    padded = torch.cat([x, torch.zeros(2, 7, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(there(padded), here(x))


@pytest.mark.parametrize("model", [*SMALL, PAIR], ids=str)
def test_an_empty_text_gives_finite_numbers_and_gradients(model: Model):
    form = WORDS if model in PAIRS else TEXT
    net = built(model, form).train()
    out = net(torch.zeros(2, form.shape[0], dtype=torch.int64))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("model", [m for m in SMALL if m.causal], ids=str)
def test_where_the_answer_is_what_comes_next_nobody_looks_ahead(model: Model):
    net = built(model, NEXT)
    x = sentences(NEXT, [12, 12])
    changed = x.clone()
    changed[:, 8:] = (x[:, 8:] + 5) % 28 + 2
    torch.testing.assert_close(net(changed)[:, :8], net(x)[:, :8])


@pytest.mark.parametrize("model", PAIRS, ids=str)
def test_a_translator_sees_the_whole_source_and_the_target_so_far(model: Model):
    net = built(model, WORDS)
    x = sentences(WORDS, [12, 12])
    later, source = x.clone(), x.clone()
    later[:, 10:], source[:, 6] = 3, 4
    assert net(x).shape == (2, 5, 30)
    torch.testing.assert_close(net(later)[:, :3], net(x)[:, :3])
    assert not torch.allclose(net(source)[:, 0], net(x)[:, 0])


def test_both_directions_are_refused_where_the_answer_is_what_comes_next():
    with pytest.raises(ModelError, match="reads in both directions"):
        make(LSTM(directions="both"), NEXT)
    with pytest.raises(ModelError, match=r"width 10 and 4 heads; the width must be a multiple of 8"):
        make(Transformer(width=10), TEXT)


@pytest.mark.parametrize(
    "model",
    [RNN(embedding=6, width=8, depth=2), LSTM(embedding=6, width=8, depth=2), GRU(embedding=6, width=8, depth=2)],
    ids=str,
)
def test_gives_what_packed_sequences_give(model: Model):
    """torch's own bidirectional layer of the same weights over packed sequences, for every place and for the final states."""
    net = built(model, Form.text(9, 30, 4, "place"))
    theirs = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[model.kind](6, 8, 2, batch_first=True, bidirectional=True)  # type: ignore[attr-defined]
    state = {}
    for at in range(2):
        for ours, tail in ((net.forwards, ""), (net.backwards, "_reverse")):
            state |= {f"{name[:-1]}{at}{tail}": value for name, value in ours[at].state_dict().items()}  # type: ignore[index]
    theirs.load_state_dict(state)
    lengths = [9, 4, 1]
    x = sentences(Form.text(9, 30, 4), lengths)
    packed = pack_padded_sequence(net.reader(x)[0], torch.tensor(lengths), batch_first=True)  # type: ignore[operator]
    found, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    wanted = net.answer.head(found)  # type: ignore[union-attr,operator]
    torch.testing.assert_close(net(x), wanted)


def test_turning_twice_changes_nothing_and_once_keeps_what_fills_up_at_the_end():
    h = torch.arange(10.0).reshape(2, 5, 1)
    there = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    assert turned(h, there)[0].flatten().tolist() == [2, 1, 0, 3, 4]
    assert torch.equal(turned(turned(h, there), there), h)


@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention"])
def test_pooling_is_that_of_each_sequence_alone(pool: str):
    torch.manual_seed(0)
    pooled, h = Pooled(pool, 4), torch.randn(2, 6, 4)  # type: ignore[arg-type]
    there = torch.tensor([[True] * 3 + [False] * 3, [True] * 6])
    torch.testing.assert_close(pooled(h, there)[:1], pooled(h[:1, :3], there[:1, :3]))


def test_a_bag_hashes_neighbours_as_by_hand():
    net = built(Bag(width=2, buckets=1000, ngrams=2, weigh=False, power=1.0), Form.text(3, 30, 2))
    x = torch.tensor([[5, 7, 0]])
    vectors = [net.vectors[0][5], net.vectors[0][7], net.vectors[1][(5 * 1_000_003 + 7) % (2**31 - 1) % 1000 + 1]]  # type: ignore[index]
    torch.testing.assert_close(net(x), net.head(torch.stack(vectors).mean(0, keepdim=True)))  # type: ignore[operator]


def test_a_decoder_has_one_vector_for_reading_and_saying_a_token():
    net = built(Decoder(width=8, heads=2), NEXT)
    assert net.answer.head.weight is net.reader.entry.weight  # type: ignore[union-attr]
    apart = built(Decoder(width=8, heads=2, tied=False), NEXT)
    assert sum(p.numel() for p in apart.parameters()) - sum(p.numel() for p in net.parameters()) == 8 * 30


@pytest.mark.parametrize(
    "name",
    ["bag", "attention", "conv1d", "rnn", "lstm", "gru", "transformer", "decoder", "encoder_decoder", "gru_encoder_decoder"],
)
def test_the_onnx_file_gives_torchs_answers(name: str):
    import onnxruntime

    model: Model = {m.kind: m for m in [*SMALL, *PAIRS]}[name]  # type: ignore[attr-defined]
    form = {"encoder_decoder": WORDS, "gru_encoder_decoder": WORDS, "decoder": NEXT, "bag": TEXT, "transformer": TEXT}.get(
        name, TAGS
    )
    net = served(built(model, form), "multiclass")
    x = sentences(form, [12, 7, 3, 1, 0])
    session = onnxruntime.InferenceSession(
        _to_onnx(net, x[:1], "answer").SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for rows in (x, x[:1]):
        np.testing.assert_allclose(session.run(None, {"x": rows.numpy()})[0], net(rows).detach().numpy(), atol=2e-5)


@pytest.mark.parametrize("model", [*SMALL, *PAIRS], ids=str)
def test_is_stackable_or_says_why_not(model: Model):
    """K networks as one program (torch.func.vmap) give what each of them gives alone."""
    form = WORDS if model in PAIRS else NEXT if isinstance(model, Decoder) else TEXT
    nets = [built(model, form, seed) for seed in range(3)]
    x = torch.stack([sentences(form, [12, 9, 4, 2], seed) for seed in range(3)])
    params, buffers = torch.func.stack_module_state(nets)  # type: ignore[arg-type]

    def stacked() -> torch.Tensor:
        return torch.vmap(lambda p, b, one: torch.func.functional_call(nets[0], (p, b), (one,)))(params, buffers, x)

    if model.stackable:
        with pytest.raises(RuntimeError, match=r"[Bb]atching rule"):
            stacked()
        return
    torch.testing.assert_close(stacked(), torch.stack([net(one) for net, one in zip(nets, x)]), rtol=1e-4, atol=1e-5)


def test_every_model_of_sequences_is_tested_here():
    sequences = {kind for kind, model in TABLE.items() if {"tokens", "pair"} & set(model.serves)}
    assert sequences == {m.kind for m in [*SMALL, *PAIRS]}  # type: ignore[attr-defined]
