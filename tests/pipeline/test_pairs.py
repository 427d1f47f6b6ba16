"""Pairs of texts: how they are found and numbered, and what BLEU and chrF are, held to sacrebleu where it is installed."""

from __future__ import annotations

import math
import random

import numpy as np
import polars as pl
import pytest
import torch

import tuneful
from tuneful.core.errors import DataError, RecipeError
from tuneful.core.task import Split
from tuneful.pipeline import copies, judge
from tuneful.pipeline.batches import alike
from tuneful.pipeline.goals import goal
from tuneful.pipeline.metrics import finish, rows
from tuneful.pipeline.metrics.texts import FACTS, parted_by, signature, words
from tuneful.pipeline.prepare import prepare
from tuneful.runtime.letters import spelled, texts_of
from tuneful.runtime.text import EDGE, Tokenizer

SOME = [
    "the",
    "cat",
    "it's",
    "1,000.5",
    "(or",
    "so),",
    "a-b",
    "5-6",
    "U.S.",
    "said.",
    "日本",
    "語。",
    "&amp;",
    "x,y",
    "%",
    "~",
    "a_b",
    ",,",
    ".",
]
ENGLISH = [
    f"{who} {does} {what} ."
    for who in ("I", "you", "we", "they")
    for does in ("see", "like")
    for what in ("it", "rain", "tea", "this")
]
GERMAN = [
    f"{who} {does} {what} ."
    for who in ("ich", "du", "wir", "sie")
    for does in ("seh", "mag")
    for what in ("es", "Regen", "Tee", "das")
]


def answers(texts: list[str]) -> np.ndarray:
    return np.hstack([np.zeros((len(texts), FACTS)), spelled(texts, max(map(len, texts)) + 1)])


def value(metric: str, written: list[str], wanted: list[str]) -> float:
    return judge.score(metric, answers(written), spelled(wanted, max(map(len, wanted)) + 1))


# Metrics


def test_bleu_by_hand():
    """Papineni's figures: 6 of 7 words, 4 of 6 pairs, 2 of 5 triples, 1 of 4 fours; nothing is short."""
    written, wanted = ["the cat sat on the red mat"], ["the cat sat on the mat today"]
    assert value("bleu", written, wanted) == pytest.approx(100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** 0.25)
    assert value("bleu", ["a b c d"], ["a b c d e f"]) == pytest.approx(100 * math.exp(1 - 6 / 4))
    assert value("bleu", ["a b c x y"], ["a b c d e"]) == pytest.approx(100 * (3 / 5 * 2 / 4 * 1 / 3 * 1 / (2 * 2)) ** 0.25)
    assert value("bleu", ["x"], ["a b c d"]) == 0
    assert value("bleu", wanted, wanted) == pytest.approx(100)


def test_bleu_and_chrf_are_sacrebleus():
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is in the extra text")
    dice = random.Random(0)
    for _ in range(150):
        n, most = dice.choice([1, 2, 5, 20]), dice.choice([1, 3, 8, 20])
        wanted = [" ".join(dice.choices(SOME, k=dice.randint(1, most))) for _ in range(n)]
        written = [
            " ".join(w if dice.random() < 0.7 else dice.choice(SOME) for w in text.split())[: dice.choice([5, 400])]
            for text in wanted
        ]
        if dice.random() < 0.3:  # texts that are written without blanks
            written, wanted = ([text.replace(" ", "") + "日本語の文章です" for text in side] for side in (written, wanted))
        theirs = sacrebleu.metrics.BLEU(tokenize=parted_by(wanted))
        assert value("bleu", written, wanted) == pytest.approx(theirs.corpus_score(written, [wanted]).score, abs=1e-7)
        assert value("chrf", written, wanted) == pytest.approx(sacrebleu.corpus_chrf(written, [wanted]).score, abs=1e-7)
        assert signature(wanted, f"version:{sacrebleu.__version__}".removeprefix("version:")) == str(theirs.get_signature())


def test_the_interval_is_a_bootstrap_over_sentences_and_names_the_signature():
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is in the extra text")
    dice = random.Random(1)
    wanted = [" ".join(dice.choices(SOME, k=12)) for _ in range(60)]
    written = [" ".join(w if dice.random() < 0.6 else dice.choice(SOME) for w in text.split()) for text in wanted]
    p, y = answers(written), spelled(wanted, 90)
    told = judge.measure("bleu", p, y)
    theirs = sacrebleu.metrics.BLEU(references=[wanted]).corpus_score(written, None, n_bootstrap=1000)
    assert told.value == pytest.approx(theirs.score)
    assert (told.high - told.low) / 2 == pytest.approx(theirs._ci, rel=0.25)
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:tuneful" in told.how
    quick = judge.value("bleu", p, y)
    assert (quick.high - quick.low) == pytest.approx(told.high - told.low, rel=0.25)


def test_a_paired_test_tells_a_better_writer_from_a_worse():
    dice = random.Random(2)
    wanted = [" ".join(dice.choices(SOME, k=10)) for _ in range(80)]

    def spoilt(share: float) -> np.ndarray:
        return answers(
            [" ".join(dice.choice(SOME) if dice.random() < share else w for w in text.split()) + " " * 30 for text in wanted]
        )

    y = spelled(wanted, 90)
    assert judge.compare("bleu", spoilt(0.1), spoilt(0.5), y).p < 0.01
    assert judge.compare("bleu", spoilt(0.3), spoilt(0.3), y).p > 0.05


def test_bits_and_right_tokens_are_sums_over_all_tokens():
    p = np.array([[3.0, 2, 1, 97], [1.0, 2, 2, 97]])
    y = spelled(["a", "b"], 1)
    assert judge.score("bits_per_token", p, y) == pytest.approx(4 / 4)
    assert judge.score("perplexity", p, y) == pytest.approx(2)
    assert judge.score("token_accuracy", p, y) == pytest.approx(3 / 4)
    assert finish("bits_per_token", rows("bits_per_token", p, y).mean(axis=0)) == pytest.approx(1)


def test_words_are_parted_as_their_language_is_written():
    assert parted_by(["誰が一番に着くか私には分かりません。"]) == "char"
    assert parted_by(["誰 が 一番 に 着 く か 。"]) == "13a"
    assert parted_by(["who will arrive first?"]) == "13a"
    assert words("日本 語。", "char") == ["日", "本", "語", "。"]


# What is pairs


def test_two_lists_a_frame_and_a_mapping_of_splits_are_pairs():
    for data in (
        (ENGLISH, GERMAN),
        pl.DataFrame({"en": ENGLISH, "de": GERMAN}),
        {"train": (ENGLISH, GERMAN), "test": (ENGLISH[:9], GERMAN[:9])},
    ):
        task = prepare(data)
        assert task.kind == "sequence_to_sequence"
        assert task.objective.metric == "bleu"
    assert len(task.test) == 9
    assert texts_of(task.test.open("a test").y) == GERMAN[:9]


def test_a_table_turns_to_what_target_names_and_stays_a_table_where_a_column_is_no_text():
    frame = pl.DataFrame({"en": ENGLISH, "de": GERMAN})
    assert prepare(frame).schema["names"] == ["en", "de"]
    assert prepare(frame, target="en").schema["names"] == ["de", "en"]
    assert prepare(frame.rename({"en": "target"})).schema["names"] == ["de", "target"]
    sorts = pl.DataFrame({"text": [f"{a} {b}" for a, b in zip(ENGLISH, GERMAN)] * 2, "label": ["a", "b"] * len(ENGLISH)})
    assert prepare(sorts).kind == "binary"
    wide = frame.with_columns(n=pl.Series(range(len(ENGLISH))))
    found = prepare(wide, kind="translation", target="de")
    assert found.schema["names"] == ["en", "de"]
    assert any("columns beside the two texts" in str(one) for one in found.findings)


def test_kind_makes_pairs_of_what_would_be_classes():
    words, few = [f"w{n} x" for n in range(60)], ["yes", "no", "both"] * 20
    assert prepare((words, few), kind="seq2seq").kind == "sequence_to_sequence"
    assert prepare(pl.DataFrame({"a": words, "b": few}), kind="sequence_to_sequence").schema["names"] == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        (pl.DataFrame({"en": ENGLISH}), {"kind": "translation"}, r"1 column of text \(en\); two are wanted"),
        (pl.DataFrame({"a": ENGLISH, "b": GERMAN, "c": GERMAN}), {"kind": "translation"}, "3 columns of text"),
        (
            pl.DataFrame({"en": ENGLISH, "de": [""] * 32}),
            {"kind": "translation"},
            "the side de of train is empty in all of 32",
        ),
        ((ENGLISH, GERMAN[:-1]), {}, r"32 sources and 31 targets|32 examples and 31"),
        ((np.zeros((30, 4)), np.zeros(30)), {"kind": "translation"}, "two texts an example are wanted"),
        ((ENGLISH, [1.0] * 32), {"kind": "translation"}, r"target 1 of train is .*1\.0.*; it must be text"),
        ((ENGLISH, GERMAN), {"length": 1}, "no pair of train fits into length=1"),
    ],
)
def test_what_is_no_pair_is_refused_in_a_sentence(data: object, options: dict[str, object], match: str):
    with pytest.raises(DataError, match=match):
        prepare(data, **options)  # type: ignore[arg-type]


def test_wrong_options_are_told_with_what_is_near():
    with pytest.raises(RecipeError, match="target is 'dee'"):
        prepare(pl.DataFrame({"en": ENGLISH, "de": GERMAN}), target="dee", kind="translation")
    with pytest.raises(RecipeError, match=r"beam is 0; it must be a whole number in \[1, 64\]"):
        prepare((ENGLISH, GERMAN), beam=0)
    with pytest.raises(RecipeError, match=r"accuracy.*does not serve"):
        prepare((ENGLISH, GERMAN), kind="translation", metric="accuracy")


# How they are numbered


def test_a_pair_is_source_edge_and_target_and_its_targets_are_one_ahead():
    task = prepare((ENGLISH, GERMAN), tokens="word")
    schema = task.schema
    source, reads, writes = schema["source"], Tokenizer(schema["tokenizer"]), Tokenizer(schema["writes"])
    x, y = task.train.x, goal(task).targets(task, task.train).numpy()
    assert (x[:, source] == EDGE).all()
    for row, wanted in zip(x, y):
        assert reads.text([n for n in row[:source] if n]) in ENGLISH
        there = int((wanted >= 0).sum())
        assert writes.text(wanted[: there - 1].tolist()) == writes.text(row[source + 1 :].tolist())
        assert wanted[there - 1] == EDGE


def test_equal_sources_go_to_one_split_and_empty_sides_and_long_pairs_are_counted():
    task = prepare(
        (ENGLISH + ENGLISH[:20] + ["a", "b " * 300], GERMAN + GERMAN[:20] + ["", "c " * 300]),
        seed=1,
        tokens="word",
        kind="translation",
    )
    told = [str(one) for one in task.findings]
    assert any("pairs of train with an empty side are left out: 1 of 54" in one for one in told)
    test = task.test.open("a test")
    parts = [{tuple(row[: task.schema["source"]]) for row in part.x} for part in (task.train, task.valid, test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


def test_japanese_without_blanks_is_written_as_it_was():
    made = [
        f"{a}は{b}が{c}。"
        for a in ("私", "彼", "猫", "母")
        for b in ("海", "山", "本", "茶")
        for c in ("好きです", "嫌いです", "見えます")
    ]
    first = [f"pair number {n} of them" for n in range(len(made))]
    task = prepare((first, made), tokens="bpe", vocabulary=60)
    writes = Tokenizer(task.schema["writes"])
    for text in made:
        assert writes.text(writes.ids(text, 99)).replace("\ufffd", "") == text
    assert "tok:char" in judge.measure("bleu", answers(made), spelled(made, 30)).how


def test_capitals_and_blanks_survive_pieces_of_words():
    text = "Dr. Smith 's U.S. tour -- 3,000 km !"
    task = prepare(([text + f" {n}" for n in range(60)], [text + f" {n}" for n in range(60)]), tokens="bpe")
    writes = Tokenizer(task.schema["writes"])
    assert writes.text(writes.ids(text, 99)) == text


def test_batches_of_like_lengths_hold_every_example_once():
    lengths = torch.randint(1, 40, (1003,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(1003, generator=torch.Generator().manual_seed(1))
    found = alike(order, lengths, 10, torch.Generator().manual_seed(2))
    assert sorted(found.tolist()) == list(range(1003))
    spread = lengths[found[:1000]].reshape(-1, 10).float().std(dim=1).mean()
    assert spread < 0.1 * lengths[order[:1000]].reshape(-1, 10).float().std(dim=1).mean()
    firsts = lengths[found[:1000]].reshape(-1, 10).float().mean(dim=1)
    assert (firsts[:-1] > firsts[1:]).sum() > 30  # the batches themselves are in no order of length


# Opponents


def test_the_nearest_pair_of_train_finds_what_it_has_seen():
    task = prepare((ENGLISH, GERMAN), tokens="word")
    train = Split(task.train.x, task.train.y)
    same, nearest = copies.opponents(task, train.x, 60.0)
    assert nearest.predictions is not None
    assert same.predictions is not None
    assert texts_of(nearest.predictions[:, FACTS:]) == texts_of(train.y)
    assert set(texts_of(same.predictions[:, FACTS:])) <= set(ENGLISH)
    late = copies.opponents(task, train.x, 0.0)[1]
    assert late.predictions is None
    assert late.failed.startswith("skipped")


def test_a_copy_is_not_asked_for_probabilities():
    from tuneful.pipeline.prove import measured_of

    task = prepare((ENGLISH, GERMAN))
    assert list(measured_of(task, answers(GERMAN), spelled(GERMAN, 40))) == ["bleu", "chrf"]
    assert tuneful.prepare is not None
