"""Wrong lines, answered with the nearest right one and an example.

`look` finds before the parser what the parser would not understand; `sentence` puts the parser's own complaints into
finished sentences; `with_example` adds the mended line to errors about settings.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from tuneful.cli.call import Call
from tuneful.cli.examples import EXAMPLES, VALUES, first
from tuneful.core.errors import RecipeError, TunefulError

SETTING = re.compile(r"[A-Za-z][\w.]*")
OTHER_WORDS = {
    "fit": "train", "learn": "train", "run": "optimize", "search": "tune", "hpo": "tune", "test": "evaluate", "eval": "evaluate",
    "infer": "predict", "continue": "resume", "techniques": "list", "ls": "show", "runs": "show", "status": "show",
    "info": "show", "validate": "check", "help": "--help", "version": "--version",
}  # fmt: skip

SEVERAL = "tuneful train data/flowers --devices 2"

NEEDS = {
    "DATA": "data (a folder, a table, an .npz archive, idx files, or digits), or a recipe file",
    "INPUT": "data to predict (a table, images, or arrays)", "RUN": "a run", "ARTIFACT": "an artifact",
    "RUN|ARTIFACT": "a run or an artifact", "OPTIMIZER": "two optimizers or more, such as sgd adam",
    "--on": "the data that they are compared on, as --on DATA",
}  # fmt: skip
"""What stands for a word that is missing."""


def look(call: Call) -> None:
    """Raises TunefulError when the first word is no command."""
    leading = call.words[: call.words.index(call.command)] if call.command else ()
    if not call.command or leading or call.command in EXAMPLES:
        return
    word = call.command
    rest = list(call.words[1:])
    if word == "digits" or Path(word).exists() or is_setting(word):
        line = shlex.join(["tuneful", "optimize", *call.words])
        raise TunefulError(f'"{word}" is not a command; a command comes first', f"such as `{line}`")
    guess = OTHER_WORDS.get(word.lower()) or nearest(word, EXAMPLES)
    if not guess:
        raise TunefulError(f'there is no command "{word}"; known are {", ".join(EXAMPLES)}', f"such as `{first('')}`")
    example = shlex.join(["tuneful", guess, *rest]) if rest or guess.startswith("-") else first(guess)
    raise TunefulError(f'there is no command "{word}"; did you mean {guess}?', f"such as `{example}`")


def sentence(message: str, call: Call, options: Sequence[str]) -> TunefulError:
    """A complaint of the parser as one of our errors. options: those that the command knows."""
    command = call.command
    if found := re.match(r"No such option: (\S+)", message):
        return _option(found[1], call, options)
    if found := re.match(r"Missing (?:argument|option) '?([^'.]*)'?", message):
        wanted = found[1].split()[0].strip("[]") or "word"
        if wanted == "DATA" and command == "predict":
            wanted = "INPUT"
        return TunefulError(f"{command} needs {NEEDS.get(wanted, wanted)}", f"such as `{first(command)}`")
    if found := re.match(r"Option '?(-[\w-]+)'? requires an argument", message):
        value = VALUES.get(found[1], "...")
        return TunefulError(f"{found[1]} needs a value", f"such as {found[1]} {value}")
    if found := re.match(r"Option '?(-[\w-]+)'? does not take a value", message):
        return TunefulError(f"{found[1]} takes no value", f"write {found[1]} alone")
    if found := re.match(r"Got unexpected extra arguments? \((.*)\)", message):
        return TunefulError(f"{command} does not know what to do with {found[1]}", f"such as `{first(command)}`")
    if found := re.match(r"Invalid value for '?(-[\w-]+)[^:]*: (.*)", message, re.DOTALL):
        name = found[1].split(" /")[0]
        if "integer" in found[2]:
            met = next((after for word, after in zip(call.words, [*call.words[1:], ""]) if word == name), "no number")
            met = next((word.partition("=")[2] for word in call.words if word.startswith(f"{name}=")), met)
            return TunefulError(f"{name} is {met}; it must be a whole number", f"such as {name} {VALUES.get(name, '3')}")
        return TunefulError(
            f"{name} cannot be used: {found[2].rstrip('.')}", f"such as {name} {VALUES.get(name, '')}".strip()
        )
    return TunefulError(message.strip().rstrip(".").lower(), f"such as `{first(command)}`")


def _option(option: str, call: Call, known: Sequence[str]) -> TunefulError:
    """An unknown option: a setting of the recipe with dashes before it, or a misspelt one."""
    if option in ("--devices", "--restarts", "--shard"):
        return TunefulError(
            f"{call.command} takes no {option}; one training in several processes is what train does", f"such as `{SEVERAL}`"
        )
    at = next((i for i, word in enumerate(call.words) if word.startswith(option[:2]) and word.startswith("-")
               and (word.split("=")[0] == option or not option.startswith("--"))), None)  # fmt: skip
    word = call.words[at] if at is not None else option
    name, sign, value = word.lstrip("-").partition("=")
    name = name.replace("-", "_")
    used = 1
    if not sign and at is not None and at + 1 < len(call.words) and not call.words[at + 1].startswith("--"):
        value, used = call.words[at + 1], 2
    shown = "--" + name if word.startswith("--") else word.split("=")[0]
    if call.command in ("train", "tune", "optimize", "check", "init", "compare", "doctor", "plan") and _means_setting(name):
        setting = f"{name}={value or '...'}"
        kept = [*call.words[:at], *call.words[(at or 0) + used :]] if at is not None else list(call.words)
        return TunefulError(
            f"{shown} is not an option; settings of the recipe are written key=value, without dashes",
            f"such as `{shlex.join(['tuneful', *kept, setting])}`",
        )
    guess = nearest(word.split("=")[0], known)
    if guess:
        example = f"{guess} {VALUES[guess]}" if guess in VALUES else guess
        return TunefulError(f"there is no option {shown}; did you mean {guess}?", f"such as {example}")
    return TunefulError(
        f"there is no option {shown}; {call.command or 'tuneful'} knows {', '.join(known)}",
        f"such as `{first(call.command)}`",
    )


def _means_setting(name: str) -> bool:
    from tuneful.cli.complete import keys

    known = keys()
    return name in known or bool(nearest(name, known, 0.8))


def is_setting(word: str) -> bool:
    """Does it look like key=value?"""
    key, sign, told = word.partition("=")
    if not sign:
        key, sign, told = word.partition("~")  # what is believed: lr~1e-3
        return bool(told) and bool(SETTING.fullmatch(key.strip()))
    return bool(sign) and bool(SETTING.fullmatch(key.strip()))


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that was probably meant, or ""."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def with_example(error: TunefulError, call: Call) -> TunefulError:
    """An error about settings of the command line gets the mended line for its hint, when every problem can be mended."""
    if not isinstance(error, RecipeError) or not any(problem.nearest for problem in error.problems):
        return error
    words = list(call.words)
    for problem in error.problems:
        at = next((i for i, word in enumerate(words) if is_setting(word) and _about(word, problem.key)), None)
        if not problem.nearest or problem.where or at is None:
            return error
        key, _, value = words[at].partition("=")
        unknown_key = "is not a setting" in problem.sentence
        words[at] = f"{problem.nearest}={value}" if unknown_key else f"{key}={problem.nearest}"
    return RecipeError(error.problems, f"such as `{shlex.join(['tuneful', *words])}`")


def _about(word: str, key: str) -> bool:
    """Is this word the one that the problem with `key` speaks of? The word may have the short form of the key."""
    told = word.partition("=")[0].strip()
    return told == key or key.endswith(f".{told}")
