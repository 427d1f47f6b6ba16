"""Do the augments of a recipe serve these data? Made fit for them, or refused in a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from tuneful.core.errors import Problem, RecipeError
from tuneful.core.form import Form
from tuneful.techniques.interfaces import Augment


def fit(augments: Sequence[Augment], form: Form) -> tuple[Augment, ...]:
    """The augments as they act on data of this form. Raises RecipeError with every one that cannot."""
    problems: list[Problem] = []
    for one in augments:
        name = str(getattr(one, "kind", type(one).__name__))
        if form.kind not in one.serves:
            problems.append(
                Problem(f"augments.{name}", f"augments.{name} takes {_listed(one.serves)} data; these are {form}")
            )
        elif form.each == "place" and form.kind == "image" and one.partners:
            sentence = f"augments.{name} blends images, and the targets of pixels are classes, which cannot be blended"
            problems.append(Problem(f"augments.{name}", sentence))
        elif one.moves and form.each == "place" and form.kind != "image":
            sentence = f"augments.{name} moves what is at a place elsewhere, and the targets of each place would not follow"
            problems.append(Problem(f"augments.{name}", sentence))
    if problems:
        raise RecipeError(problems, "leave out what does not fit")
    return tuple(one.fitted(form) for one in augments)


def _listed(kinds: Sequence[str]) -> str:
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} or {kinds[-1]}"
