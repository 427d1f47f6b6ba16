"""The last step of a search: are several of its networks together better than the one that would be taken?

    joining = Joining(again, search, most=5)
    joining.settle()
    joining.verdict                 # plain data, with a sentence
    trial, candidate = joining.candidate()

An ensemble (`greedy`) and a soup (`souping`) of the networks that the search holds are candidates like any other. Each is taken only where
a paired test on examples that did not choose it says that it is better than the single network (`honest`), and where it keeps the user's
limits (`latency<5ms`); who ties, loses to the simpler one. The decision is written into the study before anything follows from it, so
that a killed run goes on with the same one.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuneful.core.trial import Trial
from tuneful.pipeline import judge
from tuneful.pipeline.candidate import Candidate, Network
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.costing import broken, costs, names
from tuneful.pipeline.goals import goal
from tuneful.pipeline.joining import greedy, told
from tuneful.pipeline.joining.greedy import Floats
from tuneful.pipeline.joining.honest import Rows, Test, apart, tested
from tuneful.pipeline.joining.network import joined
from tuneful.pipeline.joining.pool import Member, gathered
from tuneful.pipeline.joining.scoring import by
from tuneful.pipeline.joining.souping import Souping
from tuneful.pipeline.kept import write_json
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import Search

MEMBERS = 5  # at most, where nobody says otherwise
FEWEST = 50  # examples of valid: fewer choose by chance
ROWS = 20_000  # of valid by which members are chosen, at most
SHARE = 0.3  # of what is left of the clock, that choosing may take
MOST_BYTES = 1 << 30  # of answers


@dataclass(frozen=True)
class Origin:
    """A run of which a network is taken. number: 0, the trial's own in the study, or that of the fresh seed 1, 2, ..."""

    trial: Trial
    number: int
    run: Run


class Joining:
    """again: the confirmation that came before, with a verdict or without; search: the one that ended; most: members of an ensemble at
    most, "auto", or 0 for none; left: seconds of the clock for it."""

    def __init__(self, again: Confirmation, search: Search, *, most: int | str = "auto", left: float = math.inf) -> None:
        self.again, self.search, self.task, self.study = again, search, search.task, search.study
        self.asked, self.left = most, left
        self.most = MEMBERS if most == "auto" else int(most)
        self.verdict: dict[str, Any] = {}

    def settle(self) -> None:
        """Decide, or take up what was decided; afterwards only the weights that are needed stay on the disk."""
        of = self._of()
        known: Mapping[str, Any] = self.study.about.get("joined", {})
        if known.get("of") == of:
            self.verdict = dict(known)
        else:
            began = time.monotonic()
            found = self._decided()
            self.verdict = {**found, "of": of, "seconds": round(time.monotonic() - began, 2)}
            self.study.remember("joined", self.verdict)
            write_json(self.study.folder / "joined.json", self.verdict)
        self.again.tidy([(int(one["trial"]), int(one["run"])) for one in self.verdict.get("members", ())])

    def candidate(self) -> tuple[Trial, Candidate]:
        """What is taken: the joined network, with the trial of its heaviest member, or the single one."""
        return self.made([(one.trial, one.run.candidate()) for one in self.origins()])

    def origins(self) -> list[Origin]:
        """The runs that it is made of; one where the single network is taken."""
        if members := self.verdict.get("members", ()):
            return [self._origin(int(one["trial"]), int(one["run"])) for one in members]
        if "chosen" in self.again.verdict:
            return [self._origin(int(self.again.verdict["chosen"]), int(self.again.verdict["run"]))]
        trial, run = self.search.chosen()
        return [Origin(trial, 0, run)]

    def made(self, pairs: Sequence[tuple[Trial, Candidate]]) -> tuple[Trial, Candidate]:
        """What is taken, of these candidates in the place of the origins' own."""
        members = self.verdict.get("members", ())
        if not members:
            return pairs[0]
        found, shares = [candidate for _, candidate in pairs], [float(one["weight"]) for one in members]
        network = self._network(self.verdict["kind"], found, shares)
        answers = judge.predict(network, self.task.valid.x, kind=self.task.kind)
        value = judge.value(self.task.objective.metric, answers, self.task.valid.y, block=goal(self.task).block(self.task))
        seconds = {name: sum(one.seconds.get(name, 0.0) for one in found) for name in found[0].seconds}
        notes = (*found[0].notes, str(self.verdict["sentence"]))
        return pairs[0][0], replace(found[0], network=network, value=value, seconds=seconds, notes=notes)

    def _origin(self, number: int, run: int) -> Origin:
        """One of a trial's runs, as far as it had come; trained anew where its state is gone."""
        if run:
            trial, found = self.again.run_of(number, run)
            return Origin(trial, run, found)
        trial = self.study.trial(number)
        return Origin(trial, 0, self.search.whole(trial))

    def _network(self, kind: str, found: Sequence[Candidate], shares: Sequence[float]) -> Network:
        if kind == "soup":
            from tuneful.pipeline.soup import mean

            return mean(self.task, found)
        return joined(self.task, [one.network for one in found], shares)

    def _of(self) -> str:
        """A digest of whom it is about, and of how it was asked for."""
        trials = [[t.number, t.last.step if t.last else 0, t.state] for t in self.study.trials()]
        text = json.dumps([trials, self.again.verdict.get("of", ""), self.asked, list(self.task.objective.where)])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    # ------------------------------------------------------------------------------------------------ the decision

    def _decided(self) -> dict[str, Any]:
        if why := self._unasked():
            return told.single(why)
        pool = gathered(self.again, self.search)
        trial = self._taken()
        if len(pool) < 2 or trial not in (None, *(one.trial for one in pool)):
            return told.single(f"the weights of {len(pool)} network{'' if len(pool) == 1 else 's'} are there to be joined")
        if sum(one.answers.nbytes for one in pool) > MOST_BYTES:
            return told.single("the answers of several networks to valid would take more than 1 GiB of memory")
        if (wait := self._time(pool)) > SHARE * self.left:
            return told.single(f"choosing members would take about {wait:.0f} s, and {max(0.0, self.left):.0f} s were left")
        loaded: dict[tuple[int, int], Candidate] = {}

        def load(one: Member) -> Candidate:
            if (one.trial, one.run) not in loaded:
                loaded[one.trial, one.run] = self._origin(one.trial, one.run).run.candidate()
            return loaded[one.trial, one.run]

        most, shares, beyond = self._within(pool, load)
        souping = Souping(self.task, pool, load)
        soup = souping.members(np.arange(len(self.task.valid)))
        ways: dict[str, tuple[dict[int, float], Test]] = {}
        tried = (most >= 2 and sum(shares > 0) >= 2) + (len(soup) >= 2)
        if not tried:
            return told.single(beyond or "no mean of several networks was better on valid than the best of them alone")
        alone = apart(self.task, lambda rows: self._best(pool, rows, trial).answers)
        if len(soup) >= 2:
            found = apart(self.task, souping.answers)
            ways["soup"] = {j: 1 / len(soup) for j in soup}, tested(self.task, found, alone, tried)
        if most >= 2 and sum(shares > 0) >= 2:
            found = apart(self.task, lambda rows: self._ensemble(pool, rows, most))
            order = sorted(np.flatnonzero(shares), key=lambda j: (-shares[j], j))
            ways["ensemble"] = {int(j): float(shares[j]) for j in order}, tested(self.task, found, alone, tried)
        kind = self._preferred(ways, pool)
        one = self._best(pool, np.arange(len(self.task.valid)), trial)
        price: dict[str, Any] = {}
        if kind:
            members = [load(pool[j]) for j in ways[kind][0]]
            network = self._network(kind, members, list(ways[kind][0].values()))
            price = {"single": self._costs(load(one).network, load(one)), "joined": self._costs(network, members[0])}
        return told.verdict(self.task, pool, one, ways, kind, price, beyond)

    def _unasked(self) -> str:
        """Why nothing is tried, or ""."""
        if self.most < 2:
            return "no ensemble was asked for"
        if not goal(self.task).joins:
            return f"answers of kind {self.task.kind} have no mean"
        if self.task.objective.also:
            return f"{', '.join(self.task.objective.also)} counts beside the metric, and an ensemble costs what its members cost"
        if len(self.task.valid) < FEWEST:
            return f"{len(self.task.valid)} examples of valid are too few to choose members by"
        return ""

    def _taken(self) -> int | None:
        """The trial that was confirmed as the best; None where nothing was, and the best on valid would be taken."""
        return int(self.again.verdict["chosen"]) if self.again.verdict else None

    def _best(self, pool: Sequence[Member], rows: Rows, trial: int | None) -> Member:
        """The network that would be taken alone by what these rows say: of the runs of the trial, or of all."""
        _, score = by(self.task, self.task.valid.y[rows])
        able = [one for one in pool if trial in (None, one.trial)]
        return max(able, key=lambda one: (score(one.answers[rows]), -one.trial, -one.run))

    def _shares(self, pool: Sequence[Member], rows: Rows, most: int) -> Floats:
        rows = rows[np.linspace(0, len(rows) - 1, ROWS).astype(int)] if len(rows) > ROWS else rows
        _, score = by(self.task, self.task.valid.y[rows])
        return greedy.weights([one.answers[rows] for one in pool], score, most)

    def _ensemble(self, pool: Sequence[Member], rows: Rows, most: int) -> Floats:
        return greedy.mean([one.answers for one in pool], self._shares(pool, rows, most))

    def _within(self, pool: Sequence[Member], load: Any) -> tuple[int, Floats, str]:
        """As many members as the user's limits leave room for, their shares, and a word where it is fewer than were asked for."""
        rows, most, said = np.arange(len(self.task.valid)), self.most, ""
        while True:
            shares = self._shares(pool, rows, most)
            members = [int(j) for j in np.flatnonzero(shares)]
            if not self.task.objective.where or len(members) < 2:
                return most, shares, said
            found = [load(pool[j]) for j in members]
            network = joined(self.task, [one.network for one in found], [float(shares[j]) for j in members])
            over = broken(self.task, self._measured(network, found[0]))
            if not over:
                return most, shares, said
            most, said = len(members) - 1, f"an ensemble of {len(members)} breaks a limit: {over}"
            if most < 2:
                return most, shares, said

    def _measured(self, network: Network, one: Candidate) -> Any:
        return costs(
            network, self.task, int(one.recipe.threads), tuple(dict.fromkeys(("size", "latency", *names(self.task))))
        )

    def _costs(self, network: Network, one: Candidate) -> dict[str, Any]:
        found = {name: measure.as_data() for name, measure in self._measured(network, one).items()}
        return {"weights": sum(p.numel() for p in network.parameters()), **found}

    def _preferred(self, ways: Mapping[str, tuple[Mapping[int, float], Test]], pool: Sequence[Member]) -> str:
        """Which way is taken, "" for none: a soup costs one network, so an ensemble beside it has to gain more on the same examples."""
        better = [kind for kind, (_, found) in ways.items() if found.better]
        if len(better) < 2:
            return better[0] if better else ""
        gain = {kind: ways[kind][1].test.difference for kind in better}
        return "ensemble" if gain["ensemble"].low > gain["soup"].value else "soup"

    def _time(self, pool: Sequence[Member]) -> float:
        """Seconds that choosing members takes, about."""
        if math.isinf(self.left):
            return 0.0
        rows = np.arange(min(len(self.task.valid), ROWS))
        _, score = by(self.task, self.task.valid.y[rows])
        began = time.perf_counter()
        score((pool[0].answers[rows] + pool[1].answers[rows]) / 2)
        return greedy.calls(len(pool)) * 6 * (time.perf_counter() - began)


__all__ = ["MEMBERS", "Joining", "Origin"]
