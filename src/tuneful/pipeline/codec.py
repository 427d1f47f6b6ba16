"""Between what users write and recipes: words of a command line, files, Python mappings -> (Recipe, Space), and back.

Keys may be full (`optimizer.lr`, `regularizers.dropout.rate`) or short (`lr`, `dropout`); a value may be a number or a range
(see `core.space`). Every problem is told at once, with file:line, the full key, the value met, what it must be and the
nearest thing that is known. Only here do strings become techniques.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from tuneful.core.config import Settings, nearest, show
from tuneful.core.errors import Problem, RecipeError, SpaceError
from tuneful.core.recipe import LISTS, SECTIONS, SIDES, Recipe
from tuneful.core.space import Choice, Dial, Range, Space, parse
from tuneful.core.task import Task
from tuneful.pipeline import defaults
from tuneful.pipeline.arguments import argument, parted, takes
from tuneful.pipeline.keys import FAMILIES, TOP, Keys, flatten


@dataclass(frozen=True)
class Entry:
    """One thing that the user set. where: "file:line", or "" for the command line and Python."""

    key: str
    value: Any
    where: str = ""


@dataclass
class _Work:
    """What one decoding gathers."""

    problems: list[Problem] = field(default_factory=list)
    dials: list[Dial] = field(default_factory=list)
    variants: dict[str, dict[str, Settings]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    base: Recipe = field(default_factory=Recipe)
    hint: str = ""  # how to write a range that could not be read
    takes: Mapping[str, Any] = field(default_factory=dict)  # arguments of the user's own factory, with their annotations

    def wrong(self, key: str, sentence: str, guess: str = "") -> None:
        self.problems.append(Problem(key, sentence, self.where.get(key, ""), guess))

    def attempt(self, make: Any, key: str = "") -> Any:
        """make(), or None with its problems noted at their places in the file."""
        try:
            return make()
        except RecipeError as error:
            self.hint = error.hint if isinstance(error, SpaceError) else self.hint
            for problem in error.problems:
                at = problem.key or key
                place = self.where.get(at) or self.where.get(key) or problem.where
                noted = Problem(at, problem.sentence, place, problem.nearest)
                if noted not in self.problems:
                    self.problems.append(noted)
            return None


def decode(entries: Iterable[Entry], task: Task | None = None, base: Recipe | None = None) -> tuple[Recipe, Space]:
    """A recipe and the space around it. Without a task, sections that depend on the data stay "auto" and their fields are
    checked for being known only. Raises RecipeError with every problem."""
    base = base or Recipe()
    work = _Work(base=base)
    keys = Keys()
    sections: dict[str, dict[str, Any]] = {}
    entries = [Entry(key, value, one.where) for one in entries for key, value in parted(one.key, one.value).items()]
    work.takes = takes([(entry.key, entry.value) for entry in entries], base.model)
    for entry in entries:
        full, guess = keys.resolve(entry.key)
        full = keys.argument(entry.key, full, work.takes) or full
        if not full:
            known = f"; known are {', '.join(keys.near(entry.key))}" if not guess else ""
            work.problems.append(Problem(entry.key, f"{entry.key} is not a setting{known}", entry.where, guess))
            continue
        work.where[full] = entry.where
        head, _, rest = full.partition(".")
        if rest == "kind":
            work.where.setdefault(head, entry.where)
        sections.setdefault(head, {})[rest] = entry.value
    changes: dict[str, Any] = {}
    # What other choices hang on comes first: how long it trains, on which batches, and which network.
    for head, fields in sorted(sections.items(), key=lambda one: (one[0] in (*SECTIONS, *LISTS), one[0] != "model")):
        if head in SECTIONS:
            value = _section(work, head, fields, task, getattr(base, head))
        elif head in LISTS:
            value = _list(work, head, fields, task, getattr(base, head))
        else:
            value = _value(work, Recipe, head, fields[""], head)
        if value is not None:
            changes[head] = value
            with contextlib.suppress(RecipeError):  # told below, with all others
                work.base = work.base.replace(head, value)
    made = work.attempt(lambda: base.replace({k: v for k, v in changes.items() if v is not None}))
    if work.problems:
        alone = work.hint if len(work.problems) == 1 else ""
        raise RecipeError(work.problems, alone or "`tuneful list` names every technique and its settings")
    for path, reason in work.reasons.items():
        made = made.because(path, reason)
    choices = {dial.path for dial in work.dials if dial.path in work.variants}
    places = {head: at for at, head in enumerate(sections)}  # in the user's order, choices first
    ordered = sorted(work.dials, key=lambda dial: (dial.path not in choices, places[dial.path.partition(".")[0]]))
    return made, Space(tuple(ordered), work.variants)


def from_mapping(data: Mapping[str, Any], task: Task | None = None, base: Recipe | None = None) -> tuple[Recipe, Space]:
    """From Python: `from_mapping({"optimizer": "sgd", "lr": "1e-4..1e-1", "width": 64})`; values may be settings objects."""
    return decode([Entry(key, value) for key, value in flatten(data)], task, base)


def from_data(data: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.as_data` made plain. Raises RecipeError when it is not one."""
    fields: dict[str, Any] = dict(data)
    for head in SECTIONS:
        if isinstance(fields.get(head), Mapping):
            fields[head] = _object(head, fields[head])
    for head in LISTS:
        if isinstance(fields.get(head), Sequence) and not isinstance(fields[head], str):
            fields[head] = tuple(_object(head, item) for item in fields[head])
    return Recipe.parse(fields)


def _object(family: str, data: Mapping[str, Any]) -> Settings:
    table = FAMILIES[family]
    kind = str(data.get("kind", ""))
    if kind not in table:
        guess = nearest(kind, table)
        raise RecipeError([Problem(family, f"{family} is {kind!r}; known are {', '.join(table)}", nearest=guess)])
    return table[kind].parse(data)


def _section(work: _Work, head: str, fields: dict[str, Any], task: Task | None, base: Any) -> Any:
    """One settings object, or "auto" while the data that decides its kind is unknown."""
    table = FAMILIES[head]
    told = fields.pop("", fields.pop("kind", None))
    fields = _gathered(fields)
    if told == "auto":
        told = None
    if isinstance(told, Settings):
        return told if not fields else work.attempt(lambda: told.replace(**fields), head)
    if head in SIDES and (told == "none" or (told is None and base == "none")):
        if fields:
            first = f"{head}.{next(iter(fields))}"
            work.wrong(first, f"{first} is a setting of no schedule; say which, such as {head}=linear")
        return "none"
    chosen = work.attempt(lambda: parse(told), head) if isinstance(told, str) else told
    if isinstance(chosen, list | tuple):
        chosen = Choice(tuple(str(one) for one in chosen))
    if chosen is None:
        if isinstance(base, Settings):
            started: dict[str, Any] = {name: getattr(base, name) for name in type(base).model_fields if name != "kind"}
            made = _made(work, head, str(getattr(base, "kind", "")), fields, started)
            # The user's own object may hold a callable, which no data tells.
            changed = {name: getattr(made, name) for name in fields if name in started}
            return base.replace(**changed) if made is not None else None
        if task is None:
            _possible(work, head, fields)
            return None
        default, reason = defaults.choose(head, task, work.base)
        work.reasons[head] = reason
        started = {name: getattr(default, name) for name in type(default).model_fields if name != "kind"}
        return _made(work, head, str(default.kind), fields, started)
    named: tuple[Any, ...] = chosen.values if isinstance(chosen, Choice) else (chosen,)
    for name in named:
        if name not in table:
            guess = nearest(str(name), table)
            work.wrong(head, f"{head} is {show(name)}; it must be one of {_some(table)}", guess)
            return None
    kinds = [str(name) for name in named]
    known = [field for kind in kinds for field in table[kind].model_fields]
    for name in fields:  # no short cut: every unknown name is told
        _known(work, f"{head}.", name, known, " or ".join(kinds))
    fields = {name: value for name, value in fields.items() if name in known}
    if len(kinds) == 1:
        return _made(work, head, kinds[0], fields, {})
    made = {
        kind: _made(work, head, kind, {n: v for n, v in fields.items() if n in table[kind].model_fields}, {}, kinds)
        for kind in kinds
    }
    near = chosen.near if isinstance(chosen, Choice) else None
    work.dials.append(Dial(head, Choice(tuple(kinds), near)))
    work.variants[head] = made
    return made[kinds[0] if near is None else str(near)]


def _made(
    work: _Work, head: str, kind: str, fields: dict[str, Any], started: dict[str, Any], kinds: Sequence[str] = ()
) -> Any:
    """One technique of a section with its constants; ranges become dials (conditional when the kind is itself a choice)."""
    cls = FAMILIES[head][kind]
    constants = dict(started)
    for name, raw in fields.items():
        if not _known(work, f"{head}.", name, cls.model_fields, kind):
            continue
        if isinstance(raw, Mapping):
            told = _arguments(work, f"{head}.{name}", raw, (head, kind) if kinds else ())
            constants[name] = {**constants.get(name, {}), **told}
            continue
        value = _value(work, cls, name, raw, f"{head}.{name}")
        if isinstance(value, Range | Choice):
            holders = tuple(k for k in kinds if name in FAMILIES[head][k].model_fields)
            when = (head, holders) if kinds and len(holders) < len(kinds) else None
            dial = Dial(f"{head}.{name}", value, when)
            if _fits(work, cls, constants, name, value, head + ".") and dial not in work.dials:
                work.dials.append(dial)
            constants[name] = _middle(value)
        elif value is not None:
            constants[name] = value
    return work.attempt(lambda: cls.parse(constants, f"{head}."), head)


def _gathered(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with "arguments.width", "groups.head.*.lr" and the like as one mapping, the user's own names in it."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        field, inner, own = name.partition(".")
        if inner and field in ("arguments", "groups"):
            found[field] = {**found.get(field, {}), own: value}
        elif name == "groups" and isinstance(value, Mapping):  # in a file a pattern may have a table of its own
            found[name] = {**found.get(name, {}), **dict(flatten(value))}
        else:
            found[name] = {**found.get(name, {}), **value} if isinstance(value, Mapping) else value
    return found


def _arguments(work: _Work, key: str, given: Mapping[str, Any], when: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of the user's own factory, or settings of the optimizer for some parameters."""
    constants: dict[str, Any] = {}
    for name, raw in given.items():
        at, hint = f"{key}.{name}", work.takes.get(name, Any)
        value = work.attempt(lambda at=at, raw=raw, hint=hint: argument(at, raw, hint), at)
        if isinstance(value, Range | Choice):
            work.dials.append(Dial(at, value, (when[0], when[1:]) if when else None))
            value = _middle(value)
        if value is not None:
            constants[name] = value
    return constants


def _list(work: _Work, head: str, fields: dict[str, Any], task: Task | None, base: Any) -> Any:
    """A tuple of settings objects: what auto (or the base) chose, changed by what the user set."""
    table = FAMILIES[head]
    members: dict[str, Settings] = {}
    told = fields.pop("", None)
    if told not in (None, "none", "auto"):
        names = told if isinstance(told, list | tuple) else str(told).split(",")
        fields = {str(name).strip(): True for name in names} | fields
    elif told != "none":
        chosen = () if base == "auto" else base
        if base == "auto" and task is not None:
            chosen, work.reasons[head] = defaults.choose(head, task, work.base)
        members = {str(getattr(one, "kind", "")): one for one in chosen}
    grouped: dict[str, dict[str, Any]] = {}
    for rest, value in fields.items():
        kind, _, name = rest.partition(".")
        grouped.setdefault(kind, {})[name] = value
    for kind, settings in grouped.items():
        if kind not in table:
            guess = nearest(kind, table)
            work.wrong(
                f"{head}.{kind}", f"{head}.{kind} is not known" + ("" if guess else f"; known are {', '.join(table)}"), guess
            )
            continue
        cls = table[kind]
        main = next((name for name in cls.model_fields if name != "kind"), "")
        whole = settings.pop("", None)
        if isinstance(whole, Settings):
            members[kind] = whole
            continue
        if whole is False or whole in ("false", "none", "off"):
            members.pop(kind, None)
            continue
        if whole is not None and whole is not True and whole != "true":
            settings[main] = whole
            work.where.setdefault(f"{head}.{kind}.{main}", work.where.get(f"{head}.{kind}", ""))
        old = members.get(kind)
        constants: dict[str, Any] = {n: getattr(old, n) for n in cls.model_fields if n != "kind"} if old is not None else {}
        for name, raw in settings.items():
            key = f"{head}.{kind}.{name}"
            if not _known(work, f"{head}.{kind}.", name, cls.model_fields, kind):
                continue
            value = _value(work, cls, name, raw, key)
            if isinstance(value, Range | Choice):
                if _fits(work, cls, constants, name, value, f"{head}.{kind}."):
                    work.dials.append(Dial(key, value))
                value = _middle(value)
            if value is not None:
                constants[name] = value
        made = work.attempt(
            lambda cls=cls, constants=constants, kind=kind: cls.parse(constants, f"{head}.{kind}."), f"{head}.{kind}"
        )
        if made is not None:
            members[kind] = made
    return None if task is None and base == "auto" and told != "none" else tuple(members.values())


def _possible(work: _Work, head: str, fields: Mapping[str, Any]) -> None:
    """While the technique is not known: a value that no technique with such a field would take is a problem already."""
    for name, raw in fields.items():
        trials = []
        for kind, cls in FAMILIES[head].items():
            if name in cls.model_fields:
                trials.append(_Work(where=work.where, base=work.base))
                _made(trials[-1], head, kind, {name: raw}, {})
        if trials and all(one.problems for one in trials):
            work.problems += trials[0].problems
            work.hint = work.hint or trials[0].hint
        else:
            work.dials += next((one.dials for one in trials if not one.problems), [])


def _some(names: Iterable[str], between: str = ", ") -> str:
    """All of a few names; of many the first, and how many more there are."""
    names = list(names)
    return between.join(names) if len(names) <= 12 else f"{between.join(names[:8])} and {len(names) - 8} others"


def _known(work: _Work, prefix: str, name: str, fields: Iterable[str], kind: str) -> bool:
    """Is it a field of this kind? If not, a problem is noted with what is near, or all there is."""
    known = [field for field in dict.fromkeys(fields) if field != "kind"]
    if name in known:
        return True
    guess = nearest(name, known)
    head = prefix.rstrip(".")
    holders = [other for other, cls in FAMILIES.get(head, {}).items() if name in cls.model_fields]
    if holders:
        work.wrong(
            f"{prefix}{name}",
            f"{prefix}{name} is not a setting of {kind} but of {_some(holders, ' or ')}; write {head}={holders[0]} beside it",
        )
        return False
    rest = "" if guess else f"; known are {', '.join(known) or 'none'}"
    work.wrong(f"{prefix}{name}", f"{prefix}{name} is not a setting of {kind}{rest}", f"{prefix}{guess}" if guess else "")
    return False


def _value(work: _Work, cls: type[Settings], name: str, raw: Any, key: str) -> Any:
    """A constant, a Range or a Choice for a field; None (with a problem noted) when it cannot be read."""
    annotation = cls.model_fields[name].annotation
    many = get_origin(annotation) is tuple
    if isinstance(raw, str):
        if many:
            return tuple(parse(part) for part in raw.split(",") if part.strip() not in ("", "none"))
        if annotation is str:
            return raw
        value = work.attempt(lambda: parse(raw, integer=_is_whole(annotation)), key)
    elif isinstance(raw, list | tuple) and not many:
        value = work.attempt(lambda: Choice(tuple(raw)), key)
    else:
        value = raw
    if cls is Recipe and isinstance(value, Range | Choice):
        if name in TOP and _fits(work, Recipe, {}, name, value, ""):
            work.dials.append(Dial(name, value))
        return _middle(value)
    return value


def _fits(
    work: _Work, cls: type[Settings], constants: Mapping[str, Any], name: str, value: Range | Choice, prefix: str
) -> bool:
    """Are both ends of the range (all values of the choice) allowed?"""
    ends = value.ends if isinstance(value, Range) else value.values
    before = len(work.problems)
    for end in ends:
        work.attempt(lambda end=end: cls.parse({**constants, name: end}, prefix), f"{prefix}{name}")
    return len(work.problems) == before


def _middle(value: Range | Choice) -> Any:
    """Where a recipe stands before a search: the middle of a range (of its logarithm), the first of a choice."""
    if value.near is not None:
        return value.near
    if isinstance(value, Choice):
        return value.values[0]
    middle = (value.low * value.high) ** 0.5 if value.log else (value.low + value.high) / 2
    return round(middle) if value.integer else float(f"{middle:.6g}")


def _is_whole(annotation: Any) -> bool:
    """Does a field take whole numbers and no others?"""
    parts = [annotation, *get_args(annotation)]
    parts += [inner for part in parts for inner in get_args(part)]
    return int in parts and float not in parts
