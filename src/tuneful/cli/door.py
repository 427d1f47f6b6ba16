"""The way in and out: runs a command, turns errors into sentences on stderr and exit codes.

0   done; also after SIGTERM, which is a wish to stop that was granted
1   a bug of tuneful: it keeps its traceback. `verify-resume` and nothing else also says "no" with 1
2   the user can mend it
3   the budget ran out before there was any result, or the result could not be shipped
4   `watch` has found that something has changed
130 stopped with Ctrl-C
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from tuneful.cli import mistakes
from tuneful.cli.app import app
from tuneful.cli.call import Call
from tuneful.cli.group import left
from tuneful.core.errors import TunefulError

INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. words: without the program's name; those of the process when None."""
    call = Call.of(words)
    if words is None:
        _forgiving_output()
        return left(_done(call))
    return _done(call)


def _done(call: Call) -> int:
    try:
        code = _run(call)
        sys.stdout.flush()
        return code
    except TunefulError as error:
        print(said(mistakes.with_example(error, call)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped. What was saved before is whole; the same command goes on from it.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it. The interpreter must not try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:  # the one place where a bug meets the user
        if missing := _missing(error):
            print(said(TunefulError(f"{call.command} needs {missing}, which is not installed",
                                    "pip install tuneful; without it `tuneful predict` works")), file=sys.stderr)  # fmt: skip
            return 2
        traceback.print_exc()
        print(f"\nthis is a bug of tuneful ({type(error).__name__}), not a mistake of yours; the line was: {call.line}",
              file=sys.stderr)  # fmt: skip
        return 1


def _missing(error: Exception) -> str:
    """The package that is not installed, when that is what went wrong: artifacts are used where most are left out."""
    from tuneful.cli.probe import NEEDED

    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return next((package for package, module in NEEDED.items() if module == name), "")


def _run(call: Call) -> int:
    command = typer.main.get_command(app)
    if "_TUNEFUL_COMPLETE" in os.environ:  # the shell asks what could come next
        command.main(list(call.words), prog_name="tuneful")
    mistakes.look(call)
    try:
        with command.make_context("tuneful", list(call.words), obj=call) as context:
            code = command.invoke(context)
    except typer.TyperException as error:
        raise mistakes.sentence(error.format_message(), call, _options(command, call.command)) from None
    except typer.Exit as asked:
        return asked.exit_code
    return code if isinstance(code, int) else 0


def _options(command: Any, name: str) -> list[str]:
    """The options of one command, or of the program where the name is no command's."""
    found = command.commands.get(name, command)
    return [option for param in found.params for option in param.opts if option.startswith("-")] + ["--help"]


def said(error: TunefulError) -> str:
    """An error as it is printed: `error: sentence`, then a line with the way out."""
    lines = str(error).splitlines()
    return "\n".join(["error: " + lines[0], *(line if line.startswith("  hint:") else f"  {line}" for line in lines[1:])])


def _forgiving_output() -> None:
    """A terminal that knows ASCII only shows "?" for other letters instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


__all__ = ["main", "said"]
