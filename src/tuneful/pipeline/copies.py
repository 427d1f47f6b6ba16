"""The opponents of a network that writes texts: copies.

    the source as it is       what is read is written again (strong where a text is only mended, hopeless between languages)
    the nearest pair of train the target of the pair whose source is most like this one: cosine of TF-IDF over tokens and their pairs

Neither has probabilities, so bits per token are not told of them. Source: retrieval as a baseline of translation is the translation
memory of Nagao 1984 ("A framework of a mechanical translation ... by analogy principle").
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np

from tuneful.core.task import Task
from tuneful.pipeline.baselines import Baseline
from tuneful.pipeline.metrics import Array, Floats
from tuneful.runtime.letters import spelled, texts_of
from tuneful.runtime.text import Tokenizer
from tuneful.runtime.writing import FACTS, ended

_ROWS = 256  # sources that are compared with all of train at once
_MOST = 50_000_000  # numbers of one such comparison


def opponents(task: Task, x: Array, seconds: float, threads: int = 1) -> list[Baseline]:
    """Both, for pairs x [N, S + T] as the splits hold them. The second is left out where its time would not suffice."""
    from threadpoolctl import threadpool_limits

    schema = task.schema
    size, wide = int(schema["source"]), int(schema["letters"])
    begin = time.perf_counter()
    reads = Tokenizer(schema["tokenizer"])
    same = [reads.text(row) for row in ended(x[:, :size])]
    found = [Baseline("the source as it is", _answers(same, wide), time.perf_counter() - begin)]
    with threadpool_limits(limits=threads):
        return [*found, _nearest(task, x[:, :size], seconds - found[0].seconds, wide)]


def _answers(texts: list[str], wide: int) -> Floats:
    return np.hstack([np.zeros((len(texts), FACTS)), spelled(texts, wide).astype(np.float64)])


def _nearest(task: Task, source: Array, seconds: float, wide: int) -> Baseline:
    from sklearn.feature_extraction.text import TfidfVectorizer

    begin, name = time.perf_counter(), "the nearest pair of train"
    analyzer: Any = _grams
    vectorizer: Any = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True)
    rows = np.arange(len(task.train))
    few = rows[: min(len(rows), 500)]
    vectorizer.fit_transform(task.train.x[few, : source.shape[1]])
    took = (time.perf_counter() - begin) / len(few)
    affordable = int(max(0.0, seconds) / (3 * took))
    if affordable < len(few):
        return Baseline(
            name,
            None,
            0.0,
            f"skipped: it would need about {3 * took * len(rows):.2g} s and {max(0.0, seconds):.2g} s are left",
        )
    rows = rows[:affordable]
    train = vectorizer.fit_transform(task.train.x[rows, : source.shape[1]])
    other, best = vectorizer.transform(source), np.zeros(len(source), np.int64)
    step = max(1, min(_ROWS, _MOST // len(rows)))
    for at in range(0, len(source), step):
        best[at : at + step] = np.asarray((other[at : at + step] @ train.T).toarray()).argmax(axis=1)
    texts = texts_of(task.train.y[rows[best]])
    note = f"looked up in {len(rows)} of {len(task.train)} pairs, for want of time" if len(rows) < len(task.train) else ""
    return Baseline(name, _answers(texts, wide), time.perf_counter() - begin, note=note)


def _grams(row: Any) -> list[tuple[int, ...]]:
    """Tokens that are there, and pairs of neighbours."""
    there = [int(number) for number in row if number]
    return [*((number,) for number in there), *pairwise(there)]
