"""Regret of searches replayed on real learning curves: what `tune` decides, without training anything.

    python benchmarks/replay.py [--judge | --pools FOLDER] [--seeds 20] [--first 0] [--tasks 0,1,2,3,4,5] [--most 40] [--print] [WAY ...]

Six tasks of TaskSet (Metz et al. 2020, arXiv:2002.11887) with 1000 configurations of eight dials and 51 points each. A search that
begins a trial gets the nearest configuration that it has not had; random draws one. Dials are scaled by rank, because the table's are
not uniform (the betas crowd at 1, where "nearest" would hand out outliers). One point is one unit of cost, 51 are a full training.

    regret(b) = (best valid loss after b points - best of the table) / (median configuration's best - best of the table), cut at 1

A configuration whose loss is not finite has failed: its points are paid for, it is never taken up again. The tables lie in
$TUNEFUL_DATA/hpo or beside the checkout. Nothing in a search may be fitted to these tasks: see LOG.md for how it was divided.

--judge: eight tasks of another family, DeepOBS (Schneider et al., ICLR 2019): an optimizer of three and one of 36 learning rates, 108
configurations with 51 points of their test loss, spread evenly over their epochs. --pools: trainings of our own, as `pools.py` leaves them.
Nothing was chosen on these.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import optuna
from record import record

from tuneful.core.chance import key
from tuneful.core.measure import Measure
from tuneful.core.records import shown
from tuneful.core.task import Objective
from tuneful.core.trial import Point, Trial
from tuneful.techniques.interfaces import Proposer, Scheduler
from tuneful.techniques.search import ASHA, TPE, Curves, FreezeThaw, Full, Hyperband, Median, Random

PLACE = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data") / "hpo"
BUDGETS = (5, 10, 20, 40)  # full trainings
LENGTH = 51  # points of a full training
UNIT = optuna.distributions.FloatDistribution(0.0, 1.0)


@dataclass
class Table:
    """One task. dials: of a configuration; points: what they are in each; where: [n, D], the same as numbers between which distance means
    something; loss: [n, 51], NaN where it diverged."""

    dials: dict[str, optuna.distributions.BaseDistribution]
    points: list[dict[str, float | str]]
    where: np.ndarray
    loss: np.ndarray

    @staticmethod
    def taskset(task: int) -> Table:
        """Task number 0 to 5 of TaskSet."""
        with np.load(PLACE / "taskset_dev.npz", allow_pickle=False) as found:
            configs, loss = found["configs"], found["loss"][task, :, 1].astype(float)
        where = configs.argsort(0).argsort(0) / (len(configs) - 1)
        names = [f"dial{k}" for k in range(8)]
        return Table(dict.fromkeys(names, UNIT), [dict(zip(names, one, strict=True)) for one in where.tolist()], where, loss)

    @staticmethod
    def deepobs(task: int) -> Table:
        """Problem number 0 to 7 of DeepOBS."""
        with np.load(PLACE / "deepobs_v1_sgd_momentum_adam.npz", allow_pickle=False) as found:
            data = {
                name: found[name] for name in ("problem", "optimizer", "lr_index", "num_epochs", "test_loss", "optimizers")
            }
        rows: dict[tuple[int, int], int] = {}
        for row in np.flatnonzero(data["problem"] == task).tolist():
            rows.setdefault((int(data["optimizer"][row]), int(data["lr_index"][row])), row)
        kinds = [str(kind) for kind in data["optimizers"]]
        points: list[dict[str, float | str]] = [{"optimizer": kinds[kind], "lr": rate / 35} for kind, rate in rows]
        where = np.array([[*np.eye(len(kinds))[kind], rate / 35] for kind, rate in rows])
        at = np.linspace(1, int(data["num_epochs"][list(rows.values())].min()), LENGTH).round().astype(int)
        dials = {"optimizer": optuna.distributions.CategoricalDistribution(kinds), "lr": UNIT}
        return Table(dials, points, where, data["test_loss"][list(rows.values())][:, at].astype(float))

    @staticmethod
    def pool(path: Path) -> Table:
        """A task whose trainings lie in a file."""
        with np.load(path, allow_pickle=False) as found:
            places, loss = found["places"], found["loss"].astype(float)
        dials: dict[str, optuna.distributions.BaseDistribution] = dict.fromkeys([f"dial{k}" for k in range(5)], UNIT)
        dials["width"] = optuna.distributions.CategoricalDistribution(["16", "64"])
        wide = (places[:, 5] >= 0.5).astype(int)
        points: list[dict[str, float | str]] = [
            {**{f"dial{k}": float(one[k]) for k in range(5)}, "width": ("16", "64")[w]}
            for one, w in zip(places, wide, strict=True)
        ]
        where = np.concatenate([places[:, :5], np.eye(2)[wide] / 2**0.5], axis=1)
        return Table(dials, points, where, loss)

    def near(self, point: dict[str, float | str]) -> np.ndarray:
        """How far each configuration is from these dials."""
        at: list[float] = []
        for name, dial in self.dials.items():
            choices = getattr(dial, "choices", None)
            at += [float(point[name])] if choices is None else [float(one == point[name]) for one in choices]
        return ((self.where - np.array(at)) ** 2).sum(1)


class Bill:
    """What has been paid for: the best loss after each point."""

    budgets: ClassVar[tuple[int, ...]] = BUDGETS

    def __init__(self, table: Table) -> None:
        self.table, self.best, self.low = table, [], math.inf
        self.free = np.ones(len(table.where), bool)

    @property
    def over(self) -> bool:
        """Is the largest budget spent?"""
        return len(self.best) >= self.budgets[-1] * LENGTH

    def take(self, at: dict[str, float | str] | None, dice: np.random.Generator) -> int:
        """The nearest configuration that nobody has had, or any."""
        far = np.where(self.free, 0.0 if at is None else self.table.near(at), np.inf)
        row = int(dice.choice(np.flatnonzero(self.free))) if at is None else int(far.argmin())
        self.free[row] = False
        return row

    def pay(self, row: int, point: int) -> float:
        """The loss of a configuration at a point, from 1 on."""
        loss = float(self.table.loss[row, point - 1])
        self.low = min(self.low, loss) if math.isfinite(loss) else self.low
        self.best.append(self.low)
        return loss

    def regret(self) -> dict[int, float]:
        """After each budget."""
        lows = np.nanmin(np.where(np.isfinite(self.table.loss), self.table.loss, np.inf), axis=1)
        floor, span = lows.min(), np.median(lows) - lows.min()
        paid = [self.best[min(b * LENGTH, len(self.best)) - 1] for b in self.budgets]
        return {b: float(min(1.0, (low - floor) / span)) for b, low in zip(self.budgets, paid, strict=True)}


Way = Callable[[Table, int], Bill]


def ours(proposer: Proposer, scheduler: Scheduler, fed: int = 0) -> Way:
    """A proposer and a scheduler of tuneful, with exact resume. fed: the point whose value the proposer is told, 0 for all."""

    def walk(table: Table, seed: int) -> Bill:
        bill, dice, trials = Bill(table), np.random.default_rng(seed), list[Trial]()
        rows, kept = list[int](), dict[int, dict[str, object]]()
        objective = Objective("loss", "min")
        turned = proposer.replace(turn=seed + 1) if "turn" in type(proposer).model_fields else proposer
        while not bill.over:
            ask = scheduler.next if bill.free.any() else scheduler.closing
            step = ask(trials, objective, float(LENGTH))
            assert step is not None
            number = step.trial
            if number is None:
                number = len(trials)
                if not bill.free.any():
                    break
                at = None
                if not isinstance(turned, Random):
                    at, kept[number] = _asked(turned.sampler(key(seed, "proposal", number)), table, trials, kept, fed)
                rows.append(bill.take(at, dice))
                trials.append(Trial(number, {}, table.points[rows[number]], ""))
            trial = trials[number]
            for point in range(len(trial.curve) + 1, min(LENGTH, math.ceil(step.epochs - 1e-6)) + 1):
                loss = bill.pay(rows[number], point)
                seen = Point(point, float(point), Measure(loss, loss, loss, 1), loss, loss, 0.1, float(point))
                trial = replace(trial, curve=(*trial.curve, seen), cost=float(point))
                if not math.isfinite(loss):
                    break
            failed, done = not math.isfinite(trial.curve[-1].value.value), len(trial.curve) == LENGTH
            trials[number] = replace(trial, state="failed" if failed else "done" if done else "paused")
        return bill

    return walk


def _asked(
    sampler: optuna.samplers.BaseSampler, table: Table, trials: Sequence[Trial], kept: dict[int, dict[str, object]], fed: int
) -> tuple[dict[str, float | str], dict[str, object]]:
    """What an Optuna sampler proposes after these trials, and what it keeps with its proposal. kept: the same of those before."""
    study = optuna.create_study(sampler=sampler)
    bare = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
    for trial in trials:
        row = shown(bare, trial)
        row.params, row.distributions = dict(trial.dials), table.dials
        row.number, row.datetime_complete, row.system_attrs = trial.number, bare.datetime_start, kept.get(trial.number, {})
        if fed and len(trial.curve) >= fed and trial.state != "failed":
            row.state, row.values = optuna.trial.TrialState.COMPLETE, [trial.curve[fed - 1].value.value]
            row.intermediate_values = {}
        study.add_trial(row)
    asked = study.ask(table.dials)
    return dict(asked.params), dict(study._storage.get_trial(asked._trial_id).system_attrs)


def optunas(make: Callable[[int], optuna.samplers.BaseSampler], pruner: optuna.pruners.BasePruner) -> Way:
    """A loop as Optuna's users write it: what is pruned is gone."""

    def walk(table: Table, seed: int) -> Bill:
        bill, dice = Bill(table), np.random.default_rng(seed)
        study = optuna.create_study(sampler=make(seed), pruner=pruner)
        while not bill.over and bill.free.any():
            asked = study.ask(table.dials)
            row = bill.take(asked.params, dice)
            for name, value in table.points[row].items():  # what it really got
                dial = table.dials[name]
                study._storage.set_trial_param(asked._trial_id, name, dial.to_internal_repr(value), dial)
            low, state = math.inf, optuna.trial.TrialState.COMPLETE
            for point in range(1, LENGTH + 1):
                loss = bill.pay(row, point)
                if not math.isfinite(loss):
                    state = optuna.trial.TrialState.FAIL
                    break
                low = min(low, loss)
                asked.report(loss, point)
                if point < LENGTH and asked.should_prune():
                    state = optuna.trial.TrialState.PRUNED
                    break
            study.tell(asked, low if state == optuna.trial.TrialState.COMPLETE else None, state=state)
        return bill

    return walk


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


NEVER, BANDS = optuna.pruners.NopPruner(), optuna.pruners.HyperbandPruner(min_resource=2, max_resource=LENGTH)
WAYS: dict[str, Way] = {
    "random, full trainings": ours(Random(), Full()),
    "random + asha": ours(Random(), ASHA()),
    "tpe fed point 6 + asha": ours(TPE(), ASHA(), fed=6),
    "tpe + asha": ours(TPE(), ASHA()),
    "curves + asha": ours(Curves(), ASHA()),
    "tpe + asha from point 2": ours(TPE(), ASHA(first=0.03)),
    "curves + asha from point 2": ours(Curves(), ASHA(first=0.03)),
    "curves + hyperband": ours(Curves(), Hyperband()),
    "curves + median": ours(Curves(), Median(first=0.04)),
    "curves + freeze-thaw": ours(Curves(), FreezeThaw()),
    "tpe + hyperband": ours(TPE(), Hyperband()),
    "tpe + median": ours(TPE(), Median(first=0.04)),
    "optuna tpe, full trainings": optunas(_tpe, NEVER),
    "optuna tpe + hyperband": optunas(_tpe, BANDS),
    "optuna gp, full trainings": optunas(lambda seed: optuna.samplers.GPSampler(seed=seed), NEVER),
}


def main() -> None:
    """Each way on each task with each seed; one line a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ways", nargs="*")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--judge", action="store_true", help="the tasks of DeepOBS")
    parser.add_argument("--pools", type=Path, help="a folder that pools.py has filled")
    parser.add_argument("--most", type=int, default=BUDGETS[-1], help="the largest budget, in full trainings")
    parser.add_argument("--print", action="store_true", help="print only; record nothing")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    budgets = Bill.budgets = tuple(budget for budget in BUDGETS if budget <= args.most)
    files = sorted(args.pools.glob("*.npz")) if args.pools else []
    family = "pools" if files else "deepobs" if args.judge else "taskset"
    read = (lambda k: Table.pool(files[k])) if files else Table.deepobs if args.judge else Table.taskset
    tasks = (
        [int(task) for task in args.tasks.split(",")] if args.tasks else list(range(len(files) or (8 if args.judge else 6)))
    )
    for name in args.ways or WAYS:
        began, found = time.process_time(), list[list[float]]()
        for seed in range(args.first, args.first + args.seeds):
            each = [WAYS[name](read(task), seed).regret() for task in tasks]
            found.append([one[b] for one in each for b in budgets])
        by = np.array(found).reshape(len(found), len(tasks), len(budgets))  # seeds, tasks, budgets
        mean, spread = by.mean((0, 1)).round(3).tolist(), (by.mean(1).std(0, ddof=1) / len(by) ** 0.5).round(3).tolist()
        figures = {"family": family, "tasks": tasks, "seeds": args.seeds, "regret": dict(zip(budgets, mean, strict=True)),
                   "standard_error_over_seeds": spread, "by_task": by.mean(0).round(3).tolist(),
                   "cpu_s_a_search": round((time.process_time() - began) / by[..., 0].size, 2)}  # fmt: skip
        print(name, mean, spread, figures["cpu_s_a_search"], *(figures["by_task"] if args.print else ()), flush=True)
        if not args.print:
            record("replay", name, figures)


if __name__ == "__main__":
    main()
