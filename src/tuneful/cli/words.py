"""`DATA key=value ...` in any order, sorted into the data and the settings; every odd word is answered with what was meant."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from tuneful.cli.examples import first
from tuneful.cli.mistakes import SETTING, is_setting
from tuneful.core.errors import TunefulError

EXAMPLES = {"lr": "1e-3", "width": "64", "depth": "2", "epochs": "20", "dropout": "0.1", "batch_size": "64", "seed": "1"}
"""Values for settings that are often written without one."""


def sort(command: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """(data, settings). data is "" when none is named. Raises TunefulError for words that are neither."""
    data: list[str] = []
    settings: list[str] = []
    for word in words:
        (settings if is_setting(word) and not Path(word).exists() else data).append(word)
    if spaced := _spaced(words):
        raise _wrong(command, spaced[0], "a setting is one word, without spaces", words, spaced[1])
    for word in settings:
        key, _, value = word.partition("=" if "=" in word else "~")
        if not value.strip():
            raise TunefulError(f"{key} has no value", f"settings look like key=value, such as {key}={_value(key)}")
    for word in data:
        found = re.fullmatch(r"([A-Za-z][\w.]*):(.+)", word)
        if found and not Path(word).exists() and not re.match(r"[A-Za-z]:[\\/]|\w+://", word):
            raise _wrong(command, word, "settings are written with =", words, ([word], f"{found[1]}={found[2]}"))
        if word.startswith("="):
            raise TunefulError(f'"{word}" has no key before its =', f"such as `{first(command)}`")
    if len(data) > 1:
        raise _too_many(command, data, words)
    return (data[0] if data else "", settings)


def _value(key: str) -> str:
    """A value for an example: a technique where the key names a family."""
    from tuneful.cli.complete import keys

    return next(iter(keys().get(key, ())), EXAMPLES.get(key.rpartition(".")[2], "VALUE"))


def _spaced(words: Sequence[str]) -> tuple[str, tuple[list[str], str]] | None:
    """`lr = 0.1`, `lr= 0.1` or `lr =0.1`: what was written, and (the words, what they should be)."""
    for at, word in enumerate(words):
        three = list(words[at : at + 3])
        if len(three) == 3 and three[1] == "=" and SETTING.fullmatch(word):
            return " ".join(three), (three, f"{word}={three[2]}")
        two = list(words[at : at + 2])
        if len(two) < 2:
            continue
        if word.endswith("=") and SETTING.fullmatch(word[:-1]) and "=" not in two[1]:
            return " ".join(two), (two, "".join(two))
        if two[1].startswith("=") and len(two[1]) > 1 and word != "digits" and SETTING.fullmatch(word):
            return " ".join(two), (two, "".join(two))
    return None


def _too_many(command: str, data: Sequence[str], words: Sequence[str]) -> TunefulError:
    from tuneful.cli.complete import keys

    known = keys()
    for key, value in itertools.pairwise(data):
        if key in known and not Path(key).exists():
            return _wrong(command, f"{key} {value}", "settings are written with =", words, ([key, value], f"{key}={value}"))
    for key in data:
        if key in known and not Path(key).exists():
            return TunefulError(f"{key} has no value", f"settings look like key=value, such as {key}={_value(key)}")
    return TunefulError(
        f"{command} takes one source of data, and {len(data)} words could be one: {', '.join(data)}",
        f"settings are written key=value, such as `{first(command)}`",
    )


def _wrong(command: str, met: str, rule: str, words: Sequence[str], change: tuple[list[str], str]) -> TunefulError:
    """The error with the whole line mended: `change` is (neighbouring words, the one word in their place)."""
    old, new = change
    at = next(i for i in range(len(words)) if list(words[i : i + len(old)]) == old)
    line = shlex.join(["tuneful", command, *words[:at], new, *words[at + len(old) :]])
    return TunefulError(f'"{met}" is not a setting; {rule}: {new}', f"such as `{line}`")
