"""HTML that is safe by construction: whatever is not `Html` already is escaped on its way in.

Labels, file names and error messages come from outside. They reach the page as plain `str` and can therefore never become
markup. Characters that steer the terminal or the direction of writing are replaced, so that a name looks like what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_VOID = frozenset({"br", "hr", "meta", "col", "img"})
_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Html(str):
    """Markup that may stand in the page as it is."""

    __slots__ = ()


Child = Html | str | int | None | Iterable["Child"]


def text(value: object) -> Html:
    """Anything as text: markup is escaped, steering characters become U+FFFD."""
    return Html(escape(_STEERING.sub("\ufffd", str(value)), quote=True))


def join(*children: Child) -> Html:
    """Pieces side by side: None is left out, lists are flattened, plain strings are escaped."""
    return Html("".join(_pieces(children)))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """`<name attributes>children</name>`.

    An attribute is left out when None or False and bare when True; `class_` stands for class and `aria_label` for
    aria-label.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{''.join(_pieces(children))}</{name}>")


def short(value: object, most: int = 60) -> str:
    """Text of at most `most` characters; the rest becomes an ellipsis."""
    told = str(value)
    return told if len(told) <= most else told[: most - 1].rstrip() + "…"


def _pieces(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            yield child
        elif isinstance(child, str | int):
            yield text(child)
        else:
            yield from _pieces(child)


def _attribute(key: str, value: str | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'
