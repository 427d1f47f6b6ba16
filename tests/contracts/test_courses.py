"""The courses that the model of curves reads, kept from proposal to proposal: the same as read anew, whatever has changed meanwhile."""

import math
import random

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tuneful.techniques.search.courses import Courses

KINDS = {
    "a": FloatDistribution(0, 1),
    "b": CategoricalDistribution(["x", "y", "z"]),
    "c": FloatDistribution(1, 100, log=True),
}


def born(dice):
    names = dice.choice([["a"], ["a", "b"], ["c"], ["b", "c"]])
    values = {"a": dice.random(), "b": dice.choice("xyz"), "c": 1 + 99 * dice.random()}
    return create_trial(
        state=TrialState.RUNNING,
        params={name: values[name] for name in names},
        distributions={name: KINDS[name] for name in names},
    )


def aged(trial, dice):
    """The trial some time later: another object, as storages give."""
    told = dict(trial.intermediate_values)
    for step in range(len(told) + 1, len(told) + 1 + dice.randrange(3)):
        told[step] = dice.choice([dice.random(), math.nan])
    state = dice.choice([TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL])
    return create_trial(state=state, params=trial.params, distributions=trial.distributions, intermediate_values=told)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_kept_and_read_anew_are_the_same(sign):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for seed in range(10):
        dice, kept, trials = random.Random(seed), Courses(sign), []
        for _ in range(40):
            trials = [aged(t, dice) if not t.state.is_finished() and dice.random() < 0.3 else t for t in trials]
            trials += [born(dice) for _ in range(dice.randrange(3))]
            kept.learn(list(trials))
            anew = Courses(sign)
            anew.learn(list(trials))
            count = len(trials)
            assert kept.known(but=2).tolist() == anew.known(but=2).tolist()
            assert list(kept.dials) == list(anew.dials)
            assert repr(kept.lows) == repr(anew.lows)
            for name in ("first", "last", "count", "failed", "told"):
                np.testing.assert_array_equal(getattr(kept, name)[:count], getattr(anew, name)[:count])
            known = anew.known(but=count)
            np.testing.assert_array_equal(kept.places(kept.dials)[known], anew.places(anew.dials)[known])
