"""Learning curves: propose what is expected to end lowest, by a model of the whole curves of all trials, paused ones included.

A Gaussian process over (dials, length) is fitted to every trial's curve (`belief`). It foretells the value at `ahead` times the longest
length so far, of `candidates` points at random and some around the trials that are expected to end best; the one with the lowest
mean - b * standard deviation is proposed, with b drawn for each proposal (exponential, of mean `beta`): most go where it looks good,
some where little is known. Dials that a trial has not lie in the middle of their range; a choice is one column a value.

Source: Swersky, Snoek & Adams, 2014, arXiv:1406.3896; the drawn b: Hutter, Hoos & Leyton-Brown,
LION 2012.  Candidates and their number are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

from tuneful.core.config import Count, NonNegative
from tuneful.techniques.interfaces import Proposer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from optuna.samplers import BaseSampler

    from tuneful.techniques.search.belief import Belief

NEAR, TOP = 16, 5  # candidates around the best trials, and how many those are
STEP = 0.02, 0.2  # how far around them, as shares of a range
SCALES = "tuneful:scales"  # the attribute of a trial that keeps what was fitted for it
SELDOM = 8  # scales are fitted anew when there are a so-manieth more trials than the last time


@cache
def _beliefs() -> dict[str, Belief]:
    """The last belief, by "belief": a trial that does not come among the best changes nothing of what they are expected to become."""
    return {}


class Curves(Proposer):
    """What a model of all learning curves expects to end best."""

    kind: Literal["curves"] = "curves"
    startup: Count = 6  # trials that fill the space evenly (Sobol's sequence) before the first fit
    candidates: Count = 128  # points among which the best is taken
    beta: NonNegative = 1.0  # how much what is not known counts in favour of a point, on average
    turn: Count = 1  # another number, another beginning
    ahead: Count = 3  # times the longest curve so far: at which length trials are compared

    portfolio: ClassVar[bool] = True
    source: ClassVar[str] = "Swersky, Snoek & Adams, 2014, arXiv:1406.3896"
    cost: ClassVar[str] = "some hundredths of a second a proposal, however many trials"

    def sampler(self, seed: int) -> BaseSampler:
        import numpy as np
        from optuna.distributions import BaseDistribution
        from optuna.study import Study
        from optuna.trial import FrozenTrial

        from tuneful.core.chance import key
        from tuneful.techniques.search.belief import Scales, Seen, fit, thinned
        from tuneful.techniques.search.courses import whole_curves
        from tuneful.techniques.search.dials import columns, count, dial_by_dial
        from tuneful.techniques.search.sobol import turned

        def scales(study: Study, trial: FrozenTrial, dials: list[str], seen: Seen, count: int) -> Scales:
            """Those that were fitted last, or anew once there are enough more trials. They are kept with the trial that they were fitted for, so
            that a search that goes on in another process goes on with the same."""
            known = next(
                (
                    one.system_attrs[SCALES]
                    for one in reversed(study.get_trials(deepcopy=False))
                    if SCALES in one.system_attrs
                ),
                None,
            )
            last = None
            if known is not None and known["dials"] == dials and len(known["theta"]) == seen.x.shape[1] + 6:
                last = Scales(np.array(known["theta"]))
                if count < known["trials"] + max(2, known["trials"] // SELDOM):
                    return last
            made = fit(thinned(seen), last)
            told = {"dials": dials, "theta": made.theta.tolist(), "trials": count}
            study._storage.set_trial_system_attr(trial._trial_id, SCALES, told)
            return made

        def fresh(
            dials: Mapping[str, BaseDistribution], places: NDArray[np.float64], known: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            """The candidates that no trial has had. Where a dial is continuous, that is all of them."""
            counts = [count(dial) for dial in dials.values()]
            if None in counts:
                return places
            many = np.array(counts, dtype=float)
            cells, taken = (np.minimum((one * many).astype(int), many.astype(int) - 1).tolist() for one in (places, known))
            had = set(map(tuple, taken))
            return places[[tuple(cell) not in had for cell in cells]]

        kept = _beliefs()
        found: dict[int, dict[str, float]] = {}  # {trial: where each dial lies}; a trial asks dial by dial

        def proposed(study: Study, trial: FrozenTrial) -> dict[str, float]:
            from tuneful.techniques.search.belief import Belief, picked

            table = whole_curves(study)
            known = table.known(trial.number)
            if len(known) < self.startup or not (dials := table.dials):
                return {}
            end = self.ahead * int(table.count[known].max())
            seen = picked(table.lows, table.failed, end, table.first, table.last)
            where = table.places(dials)
            places = where[seen.kept]
            all_of = Seen(columns(dials, places), seen.of, seen.s, seen.y)
            of = scales(study, trial, list(dials), all_of, len(known))
            belief = kept.get("belief")
            if belief is None or not belief.same(all_of, of, float(np.log(end))):
                belief = kept["belief"] = Belief(all_of, of, float(np.log(end)))
            best = places[np.argsort(belief.of_trials, kind="stable")[:TOP]]
            dice = np.random.default_rng(key(seed, "candidates", trial.number))
            step = np.exp(dice.uniform(*np.log(STEP), size=(NEAR, 1)))
            near = best[dice.integers(len(best), size=NEAR)] + step * dice.normal(size=(NEAR, len(dials)))
            near = np.abs(1.0 - np.abs(1.0 - np.abs(near)))  # what leaves a range is thrown back into it
            candidates = np.concatenate([dice.random((self.candidates, len(dials))), near.clip(0.0, 1.0)])
            candidates = fresh(dials, candidates, where[known])
            if not len(candidates):
                return {}
            chosen = belief.lowest(columns(dials, candidates), self.beta * dice.exponential())
            return dict(zip(dials, candidates[chosen].tolist(), strict=True))

        def rule(study: Study, trial: FrozenTrial, name: str, dial: BaseDistribution) -> float:
            if trial.number not in found:
                found[trial.number] = proposed(study, trial)
            if name in found[trial.number]:
                return found[trial.number][name]
            if not found[trial.number]:
                return turned(study, trial, name, self.turn)
            return float(np.random.default_rng(key(seed, f"dial {name}", trial.number)).random())

        return dial_by_dial(rule)

    def after(self, given: int) -> Curves:
        return self.replace(startup=self.startup + given)

    def because(self, finished: int) -> str:
        if finished < self.startup:
            return f"one of {self.startup} points that fill the space evenly; the model of curves begins after them"
        return f"expected to end best by the curves of {finished} trials"
