"""Every error that tuneful raises on purpose.

    TunefulError                 exit 2: the user can mend it
    ├── RecipeError              settings that cannot be; every problem of the recipe at once
    │   └── SpaceError           a range that cannot be searched
    ├── DataError                the data cannot serve for learning
    ├── ModelError               a network that does not fit the data, or failed
    ├── StudyError               the memory of trials: other data, other space, locked, damaged
    ├── StateError               a saved state that is damaged or belongs elsewhere
    ├── ArtifactError            a sealed folder that is damaged, foreign or too new
    ├── StorageError             the disk: full, read-only, gone
    ├── RankError                a process of a group that trains together has ended, or is none of it
    ├── MissingError             an optional package that is not installed
    └── BudgetError              exit 3: the budget ran out before there was any result

A message is made of finished sentences that name the thing, the value met and the value wanted; `hint` says the way out.
Anything else that escapes is a bug of tuneful and keeps its traceback (exit 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a setting.

    key: full dotted key; met: the value as the user wrote it; wanted: what it must be;
    where: "file:line" when it came from a file; nearest: the known key or value that was probably meant.
    """

    key: str
    sentence: str
    where: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        guess = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{place}{self.sentence}{guess}"


class TunefulError(Exception):
    """Base of all errors raised on purpose. `hint` is one line on what to do, without its label."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class RecipeError(TunefulError):
    """Settings that cannot be. `problems` holds all of them, in the order of the recipe."""

    def __init__(self, problems: Iterable[Problem] | str, hint: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems), hint)


class SpaceError(RecipeError):
    """A range that cannot be searched."""


class DataError(TunefulError):
    """The data cannot serve for learning."""


class ModelError(TunefulError):
    """A network that does not fit the data, or failed while it ran."""

    @classmethod
    def raised(cls, where: str, error: Exception) -> ModelError:
        """What a network raised, as a sentence. where: "in step 3"."""
        said = next(iter(str(error).splitlines()), "")
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return cls(f"the network failed {where}: {what}", "run `tuneful check` to see one batch go through it")


class ParityError(ModelError):
    """An exported file answers otherwise than its network: nothing is shipped."""

    exit_code = 3


class StudyError(TunefulError):
    """The memory of trials cannot be used: other data, another space, in use by another process, damaged."""


class StateError(TunefulError):
    """A saved state is damaged, or belongs to another run."""


class ArtifactError(TunefulError):
    """A sealed folder is damaged, foreign, or written by a newer tuneful."""


class StorageError(TunefulError):
    """The disk is full, read-only or gone. What was saved before stays whole."""


class RankError(TunefulError):
    """A process that trains a model together with others has ended, or cannot take part."""


class MissingError(TunefulError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(f"{what} needs the package {package}, which is not installed", f"pip install 'tuneful[{extra}]'")


class BudgetError(TunefulError):
    """The budget ran out before there was any result."""

    exit_code = 3
