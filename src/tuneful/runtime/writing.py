"""Writing a target token by token: one search for judging with torch and for serving without it. numpy only.

    greedy       the most probable token each time, until the edge
    beam of K    the K most probable beginnings are followed; of the finished ones that with the highest mean of log p per token wins

Of the first three numbers (what fills up, what is unknown, the edge) only the edge is ever written.

Source: Sutskever et al., NeurIPS 2014, section 3.2, arXiv:1409.3215; the mean over the length: Cho et al., SSST 2014,
arXiv:1409.1259.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError
from tuneful.runtime.letters import spelled
from tuneful.runtime.text import EDGE, FIRST, Tokenizer, encode, tokenizer_of

Tokens = NDArray[np.int64]
Floats = NDArray[np.float64]
Read = Callable[[Tokens], tuple[list[Any], list[Any]]]
Step = Callable[[Tokens, list[Any], list[Any]], tuple[NDArray[Any], list[Any]]]
"""read: sources [B, S] to memory and what is carried; step: tokens [B], memory and what is carried to logits [B, V] and what is
carried on. Both are lists of arrays or tensors whose first axis is the batch; this module takes rows of them and no more."""

FACTS = 3  # numbers that stand before the letters of an answer: bits, tokens, right tokens
BATCH = 128  # sentences that are written at once
MOST_BEAMS = 64


def written(read: Read, step: Step, source: Tokens, length: int, beam: int = 1) -> Tokens:
    """What is written for each source, [B, length]: numbers up to the edge, 0 from there on."""
    if not len(source):
        return np.zeros((0, length), np.int64)
    return _greedy(read, step, source, length) if beam == 1 else _beam(read, step, source, length, beam)


def _greedy(read: Read, step: Step, source: Tokens, length: int) -> Tokens:
    out = np.zeros((len(source), length), np.int64)
    memory, carried = read(source)
    token, going = np.full(len(source), EDGE, np.int64), np.arange(len(source))  # going: sentences that are not finished
    for at in range(length):
        logits, carried = step(token, memory, carried)
        token = _logs(logits).argmax(axis=1)
        rows = np.flatnonzero(token != EDGE)
        if not len(rows):
            break
        if len(rows) < len(token):
            memory, carried = _of(memory, rows), _of(carried, rows)
            token, going = token[rows], going[rows]
        out[going, at] = token
    return out


def _beam(read: Read, step: Step, source: Tokens, length: int, beam: int) -> Tokens:
    """All beginnings of all sentences as one batch, `beam` neighbouring rows a sentence."""
    count = len(source)
    memory, carried = read(source)
    each = np.repeat(np.arange(count), beam)
    memory, carried = _of(memory, each), _of(carried, each)
    token, tokens = np.full(count * beam, EDGE, np.int64), np.zeros((count, beam, length), np.int64)
    score = np.where(np.arange(beam) == 0, 0.0, -np.inf) + np.zeros((count, 1))  # all begin alike: one of them counts
    best, found = np.full(count, -np.inf), np.zeros((count, length), np.int64)
    for at in range(length):
        logits, carried = step(token, memory, carried)
        logs = _logs(logits).reshape(count, beam, -1)
        ended = (score + logs[..., EDGE]) / (at + 1)
        which, rows = ended.argmax(axis=1), np.arange(count)
        better = ended[rows, which] > best
        best[better], found[better] = ended[rows, which][better], tokens[rows, which][better]
        logs[..., EDGE] = -np.inf
        longer = (score[..., None] + logs).reshape(count, -1)
        wide = min(beam, longer.shape[1])
        chosen = np.argpartition(-longer, wide - 1, axis=1)[:, :wide]
        chosen = np.take_along_axis(chosen, np.argsort(-np.take_along_axis(longer, chosen, 1), axis=1, kind="stable"), 1)
        score = np.take_along_axis(longer, chosen, 1)
        parent, last = np.divmod(chosen, logs.shape[-1])
        tokens = np.take_along_axis(tokens, parent[..., None], 1)
        tokens[..., at] = last
        # Scores only fall, so a beginning that is behind the best end of any length left cannot pass it any more.
        if bool((score.max(axis=1) / length <= best).all()):
            break
        token, carried = last.reshape(-1), _of(carried, (parent + beam * rows[:, None]).reshape(-1))
    never = ~np.isfinite(best)  # no end was likelier than nothing: the longest beginning is what there is
    found[never] = tokens[never, 0]
    return found


def _of(parts: list[Any], rows: Tokens) -> list[Any]:
    return [part[rows] for part in parts]


def _logs(logits: NDArray[Any]) -> Floats:
    """log p of what may be written; that of what fills up and of what is unknown is out of the question."""
    z = np.asarray(logits, dtype=np.float64).copy()
    z[:, :EDGE] = -np.inf
    z -= z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def wanted(targets: Tokens) -> Tokens:
    """What is to be said at each place of targets so far [B, T] (edge, t1, t2, ...): [B, T], t1, t2, ..., edge; -1 for nothing.

    >>> wanted(np.array([[2, 7, 8, 0], [2, 7, 8, 9]])).tolist()
    [[7, 8, 2, -1], [7, 8, 9, -1]]
    """
    there = targets != 0
    out = np.full(targets.shape, -1, np.int64)
    out[:, :-1] = np.where(there[:, 1:], targets[:, 1:], np.where(there[:, :-1], EDGE, -1))
    return out


def facts(logits: NDArray[Any], targets: Tokens) -> Floats:
    """[B, 3]: bits, tokens and right tokens, from logits [B, T, V] for targets so far [B, T]."""
    true = wanted(targets)
    there, z = true >= 0, np.asarray(logits, dtype=np.float32)
    top = z.max(axis=-1)
    at_true = np.take_along_axis(z, np.maximum(true, 0)[..., None], axis=-1)[..., 0]
    surprise = (np.log(np.exp(z - top[..., None]).sum(axis=-1)) + top - at_true) / np.log(2)
    right = (z.argmax(axis=-1) == true) & there
    return np.stack([np.where(there, surprise, 0.0).sum(1), there.sum(1), right.sum(1)], axis=1).astype(np.float64)


def along(read: Read, step: Step, source: Tokens, targets: Tokens) -> Floats:
    """`facts` of targets so far [B, T] by one step after the other."""
    memory, carried = read(source)
    total = np.zeros((len(source), FACTS))
    true = wanted(targets)
    for at in range(targets.shape[1]):
        there = true[:, at] >= 0
        if not there.any():
            break
        logits, carried = step(targets[:, at], memory, carried)
        z = np.asarray(logits, dtype=np.float32)
        top = z.max(axis=1)
        bits = (
            np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(z)), np.maximum(true[:, at], 0)]
        ) / np.log(2)
        total += np.stack([np.where(there, bits, 0.0), there, there & (z.argmax(axis=1) == true[:, at])], axis=1)
    return total


def answers(facts_B3: Floats, tokens: Tokens, schema: Mapping[str, Any], tokenizer: Tokenizer) -> Floats:
    """What is said of each example: its facts, then the letters of what was written, [B, 3 + L]."""
    letters = spelled([tokenizer.text(row) for row in ended(tokens)], int(schema["letters"]))
    return np.hstack([facts_B3, letters.astype(np.float64)])


def ended(tokens: Tokens) -> list[list[int]]:
    """Rows of numbers without what fills them up."""
    return [[int(number) for number in row if number >= FIRST] for row in tokens]


def sources(schema: Mapping[str, Any], data: Any) -> NDArray[np.int32]:
    """Raw sources as the network reads them, [N, S]. Raises DataError that names what is no text."""
    from tuneful.runtime.text import texts_of

    return encode(tokenizer_of(schema["tokenizer"]), texts_of(schema, data), int(schema["source"]))


def pairs(schema: Mapping[str, Any], first: Sequence[str], second: Sequence[str]) -> NDArray[np.int32]:
    """Sources and targets as the network learns from them, [N, S + T]: the target begins with an edge."""
    if len(first) != len(second):
        raise DataError(f"there are {len(first)} sources and {len(second)} targets; both must be equally many")
    size, (whole,) = int(schema["source"]), schema["shape"]
    out = np.zeros((len(first), int(whole)), np.int32)
    out[:, :size] = encode(tokenizer_of(schema["tokenizer"]), first, size)
    out[:, size] = EDGE
    out[:, size + 1 :] = encode(tokenizer_of(schema["writes"]), second, int(whole) - size - 1)
    return out


__all__ = ["BATCH", "FACTS", "Read", "Step", "along", "answers", "ended", "facts", "pairs", "sources", "wanted", "written"]
