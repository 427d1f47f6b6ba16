"""What is seen while work goes on, on stderr: a bar with the time left and the best value on a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tuneful.core.budget import span

if TYPE_CHECKING:
    from tuneful.core.measure import Measure
    from tuneful.pipeline.limits import Halt
    from tuneful.pipeline.optimize import Stage, Work
    from tuneful.pipeline.tune import Beat

EVERY = 10.0  # seconds between two plain lines while nothing gets better


class Progress:
    """Shows the beats of a piece of work. quiet: nothing is shown, for machines that read what comes out.

    with Progress(work, halt) as progress:
        for beat in work:
            progress.show(beat)
    """

    def __init__(self, work: Work, halt: Halt, quiet: bool = False) -> None:
        self.work, self.halt, self.quiet = work, halt, quiet
        self.began = time.monotonic()
        self.searching = 0.0  # when the search began
        self.told = 0.0  # when the last line was written
        self.best = ""
        self.stopping = False
        self.bar: Any = None
        self.row: Any = None

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            left, best = TextColumn("{task.fields[left]}"), TextColumn("{task.fields[best]}")
            self.bar = Bar(
                TextColumn("{task.description}"), BarColumn(24), left, best, console=Console(stderr=True), transient=True
            )
            self.row = self.bar.add_task("reading", total=1.0, left="", best="", visible=False)
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """One line of talk."""
        if self.quiet:
            return
        if self.bar is not None:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def show(self, beat: Stage | Beat) -> None:
        """One beat of the work."""
        from tuneful.pipeline.tune import Beat

        if self.halt.requested and not self.stopping:
            self.stopping = True
            self.say("stopping after this step; press Ctrl-C again to break off")
        if isinstance(beat, Beat):
            self._beat(beat)
            return
        self.say(f"{self._clock()}  {beat.name}: {beat.said}")
        if beat.name == "search":
            self.searching = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.row, description=beat.name, visible=True, left="", completed=self._share(None))

    def _beat(self, beat: Beat) -> None:
        if beat.best is not None:
            self.best = f"best {self._metric()} {shown(beat.best)}"
        where = f"trial {beat.trial}, epoch {beat.epoch:.3g} of {beat.epochs:.3g}"
        if self.bar is not None:
            self.bar.update(self.row, description=where, completed=self._share(beat), left=self._left(beat), best=self.best)
        elif not self.quiet and beat.point is not None and (beat.point.notes or time.monotonic() - self.told > EVERY):
            self.told = time.monotonic()
            value = f"{self._metric()} {shown(beat.point.value)}"
            self.say("; ".join(part for part in (f"{self._clock()}  {where}: {value}", self.best, self._left(beat)) if part))
        for note in beat.point.notes if beat.point is not None else ():
            self.say(f"{self._clock()}  trial {beat.trial}: {note}")

    def _metric(self) -> str:
        return self.work.task.objective.metric if self.work.task is not None else "value"

    def _clock(self) -> str:
        return f"{time.monotonic() - self.work.began:6.1f}s"

    def _share(self, beat: Beat | None) -> float:
        """How much of the work is done, from 0 to 1."""
        clock = self.work.clock
        if clock is not None and clock.budget.seconds is not None:
            return min(1.0, clock.spent / clock.budget.seconds)
        if beat is None:
            return 0.0
        done = beat.epoch / max(beat.epochs, 1e-9)
        if clock is not None and clock.budget.trials is not None and clock.budget.trials > 1:
            done = (beat.trial + done) / clock.budget.trials
        return min(1.0, done)

    def _left(self, beat: Beat) -> str:
        """The time left, in words; "" while nothing is known."""
        clock = self.work.clock
        if clock is not None and clock.budget.seconds is not None:
            return f"{span(max(0.0, round(clock.left)))} left"
        share = self._share(beat)
        gone = time.monotonic() - self.searching
        return f"about {span(max(1.0, round(gone * (1 - share) / share)))} left" if share > 0.02 and gone > 1 else ""


def shown(measure: Measure) -> str:
    """A value with its interval, for a terminal."""
    from tuneful.report.words import whole

    return ascii_signs(whole(measure))


def ascii_signs(text: str) -> str:
    """Signs that not every terminal has, in signs that it has."""
    for sign, other in (("\u00a0", " "), ("\u2212", "-"), ("\u2013", "-"), ("\u00b2", "2")):
        text = text.replace(sign, other)
    return text
