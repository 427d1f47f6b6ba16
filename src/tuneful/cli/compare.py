"""The command that compares: which optimizer for this problem?"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from tuneful.cli import complete
from tuneful.cli.call import Call
from tuneful.cli.examples import first
from tuneful.cli.mistakes import is_setting, nearest
from tuneful.cli.work import AsJson, Device, Fresh, Home, Name, check_device
from tuneful.core.budget import span
from tuneful.core.errors import TunefulError

if TYPE_CHECKING:
    from tuneful.pipeline.compare import Compared, Comparison, Sign


def compare(
    ctx: typer.Context,
    optimizers: Annotated[
        list[str],
        typer.Argument(
            metavar="OPTIMIZER OPTIMIZER [KEY=VALUE]...",
            help="two or more, as `tuneful list optimizer` has them; and settings of all runs, in any order",
            autocompletion=complete.contenders,
            show_default=False,
        ),
    ],
    on: Annotated[str, typer.Option("--on", metavar="DATA", help="a folder, a table, an .npz archive, idx files, or digits", show_default=False)],
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="final runs of each, on common seeds")] = 5,
    tune: Annotated[int, typer.Option("--tune", metavar="N", help="tuning runs of each; 0 compares the defaults")] = 20,
    name: Name = None, home: Home = None, fresh: Fresh = False, device: Device = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Say which optimizer suits this problem, with equal tuning for each, and call ties ties.

    Each is tuned by as many runs of one length over its own ranges, then all run on common seeds; the test split, which no
    tuning saw, tells who is behind. epochs=10 makes all runs shorter, adam.lr=1e-4..1e-2 says the range of one. The same
    command goes on where it was interrupted; more seeds or another optimizer take what is there.
    """
    call: Call = ctx.obj
    words = [word for word in optimizers if not is_setting(word)]
    settings = [word for word in optimizers if is_setting(word)]
    _look(words, on, call)
    from tuneful.techniques import sources

    sources.located(on)
    check_device(device)
    from tuneful.pipeline.compare import Comparison
    from tuneful.pipeline.limits import Halt, stopping_on_signals
    from tuneful.pipeline.words import from_words

    halt = Halt()
    job = from_words("tune", on, settings, name=name, command=call.line)
    work = Comparison(job, words, seeds=seeds, tune=tune, root=home, fresh=fresh, halt=halt, device=device, began=call.began)
    with stopping_on_signals(halt), Bar(work, quiet=as_json) as bar:
        for sign in work:
            bar.show(sign)
    if work.result is None:
        print(work.ended, file=sys.stderr)
        return 130 if halt.by == signal.SIGINT else 0
    if as_json:
        print(json.dumps({**work.result.data, "folder": str(work.folder), "report": str(work.result.report)}, indent=1))
    else:
        print("\n".join(told(work.result)))
    return 0


def _look(words: Sequence[str], on: str, call: Call) -> None:
    """Raises TunefulError for words that are no optimizers, before torch is loaded."""
    known = complete.techniques("optimizer")
    for word in (part for parts in words for part in parts.split(",") if part and part not in known):
        if word == "digits" or Path(word).exists():
            others = " ".join(other for other in words if other != word) or "sgd adam"
            raise TunefulError(
                f"{word} is no optimizer; the data is named with --on, which says {on}",
                f"such as `tuneful compare {others} --on {word}`",
            )
        guess = nearest(word, known)
        if not guess:
            raise TunefulError(f"{word} is no optimizer; known are {', '.join(known)}", f"such as `{first('compare')}`")
        mended = shlex.join(
            ["tuneful", *(other.replace(word, guess) if word in other.split(",") else other for other in call.words)]
        )
        raise TunefulError(f"{word} is no optimizer; did you mean {guess}?", f"such as `{mended}`")


class Bar:
    """What is seen meanwhile, on stderr: a bar with the time left on a terminal, and a line for whatever has ended."""

    def __init__(self, work: Comparison, quiet: bool = False) -> None:
        self.work, self.quiet = work, quiet
        self.bar: Any = None
        self.row: Any = None
        self.first: tuple[float, float] | None = None  # (moment, runs done) when runs began

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[left]}"), console=Console(stderr=True),
                transient=True,
            )  # fmt: skip
            self.row = self.bar.add_task("reading", total=1.0, left="")
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, sign: Sign) -> None:
        """One sign of life."""
        if sign.said and not self.quiet:
            text = f"{time.monotonic() - self.work.began:6.1f}s  {sign.said}"
            if self.bar is not None:
                self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=sys.stderr, flush=True)
        if self.bar is not None:
            self.bar.update(
                self.row, completed=sign.done / sign.of, description=f"run {min(int(sign.done) + 1, sign.of)} of {sign.of}",
                left=self._left(sign),
            )  # fmt: skip

    def _left(self, sign: Sign) -> str:
        now = time.monotonic()
        if self.first is None:
            self.first = (now, sign.done)
        gone, done = now - self.first[0], sign.done - self.first[1]
        return f"about {span(max(1.0, round(gone * (sign.of - sign.done) / done)))} left" if done > 0.5 else ""


def told(result: Compared) -> list[str]:
    """A comparison as lines: the headline, a table, notes, where things lie."""
    from tuneful.cli.progress import ascii_signs
    from tuneful.cli.summary import grid, places

    data = result.data
    metric, leader = str(data["metric"]), str(data["leader"])
    lines = [("optimizer", f"{metric} on test", f"difference to {leader}", "p", "", "tuning", "a step", "settings")]
    lines += [tuple(ascii_signs(cell) for cell in _row(one)) for one in data["optimizers"]]
    shown = [row if data["seeds"] > 1 else (*row[:2], *row[4:]) for row in lines]
    out = [result.headline, "", *grid(shown), ""]
    if leader and data["seeds"] > 1:
        out.append(f"differences: + is better; {data['correction']}")
    out += [f"note: {note}" for note in data["notes"]]
    return [*out, *places([("folder", result.folder), ("report", result.report)])]


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    from tuneful.report.words import duration, measured, number, setting, whole

    quality, gap = measured(one["test"]), measured(one["difference"])
    value = "" if quality is None else whole(quality) if quality.low == quality.low else number(quality.value)
    p = "" if one["p"] is None else "<0.001" if one["p"] < 0.001 else f"{one['p']:.2g}"
    tuning = one["tuning"]
    cost = f"{tuning['runs']} runs, {duration(tuning['seconds'])}" if tuning["runs"] else "none"
    chosen = " ".join(f"{path.removeprefix('optimizer.')}={setting(v)}" for path, v in one["settings"].items())
    verdict = f"behind {one['behind']}" if one["behind"] else one["verdict"]
    gap_text = whole(gap, sign=True) if gap is not None and gap.low == gap.low else ""
    return one["kind"], value, gap_text, p, verdict, cost, f"{number(one['step_ms'], 3)} ms", chosen
