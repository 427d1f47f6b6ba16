"""What every proposer promises: it is a sampler of Optuna by Optuna's own tests, and a function of the trials and a seed alone."""

import itertools
import math
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase
from optuna.trial import TrialState
from scipy.stats import qmc

from tuneful.core.storage import quiet
from tuneful.techniques.search import PROPOSERS, CoarseToFine, Evolution, Grid, Halton, Sampled, Sobol
from tuneful.techniques.search.coarse_to_fine import boxes
from tuneful.techniques.search.dials import place, value
from tuneful.techniques.search.halton import mirrored, primes
from tuneful.techniques.search.rated import rated

optuna.logging.set_verbosity(optuna.logging.ERROR)

QUICK = [name for name in PROPOSERS if name != "gp"]  # whose fits are slow; it has a test of its own below


class Made:
    """A maker of samplers of each proposer, as Optuna's tests want it."""

    @pytest.fixture(params=QUICK)
    def sampler(self, request):
        made = PROPOSERS[request.param]()
        return lambda: made.sampler(7)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
class TestAsOptunaTestsItsOwn(Made, BasicSamplerTestCase):
    pass


class TestWithSeveralObjectivesAsOptunaTestsItsOwn(Made, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=[name for name in QUICK if name != "cma_es"])
    def sampler(self, request):
        made = PROPOSERS[request.param]()
        return lambda: made.sampler(7)


def sphere(trial):
    """Conditional, with dials of every kind; 0 at x = 0.3, n = 7, kind = b, w = 1e-3."""
    found = (trial.suggest_float("x", -1, 1) - 0.3) ** 2 + (trial.suggest_int("n", 1, 12) - 7) ** 2 / 100
    if trial.suggest_categorical("kind", ["a", "b", "c"]) == "b":
        return found + math.log10(trial.suggest_float("w", 1e-5, 1e-1, log=True) / 1e-3) ** 2 / 10
    return found + 0.5


def proposals(name, seed, count=24, curves=False):
    """What is proposed in turn, each time by a new sampler, as `tune` does it."""
    study = optuna.create_study()
    for number in range(count):
        with quiet():
            study.sampler = PROPOSERS[name]().sampler(seed + number)
            asked = study.ask()
            found = sphere(asked)
            if curves and number % 3:
                for step in range(1, 4 if number % 2 else 2):
                    asked.report(found + 1 / step, step)
                study.tell(asked, state=TrialState.PRUNED)
            else:
                study.tell(asked, found)
    return study


@pytest.mark.parametrize("name", PROPOSERS)
def test_the_same_trials_and_seed_bring_the_same_proposals(name):
    first, again = proposals(name, 3, 14), proposals(name, 3, 14)
    assert [t.params for t in first.trials] == [t.params for t in again.trials]
    assert len({str(t.params) for t in first.trials}) > 10


@pytest.mark.parametrize("name", PROPOSERS)
def test_proposals_go_on_where_most_trials_are_paused(name):
    study = proposals(name, 5, 16, curves=True)
    assert len(study.trials) == 16
    assert all(("w" in t.params) == (t.params["kind"] == "b") for t in study.trials)


@pytest.mark.parametrize("name", PROPOSERS)
def test_each_says_why(name):
    early, late = PROPOSERS[name]().because(0), PROPOSERS[name]().because(60)
    assert early
    assert late
    assert (early != late) == (name not in ("grid", "random", "sobol", "halton"))


@pytest.mark.parametrize("name", ["coarse_to_fine", "curves", "evolution", "tpe"])
def test_what_learns_comes_closer_than_chance(name):
    def best(name):
        return [min(t.value for t in proposals(name, 100 * k, 60).trials) for k in range(5)]

    assert np.mean(best(name)) < 0.7 * np.mean(best("random"))


def test_curves_never_propose_a_combination_twice():
    study, dials = optuna.create_study(), {"n": IntDistribution(1, 6), "k": CategoricalDistribution(["a", "b", "c"])}
    for number in range(16):
        with quiet():
            study.sampler = PROPOSERS["curves"]().sampler(number)
            asked = study.ask(dials)
            study.tell(asked, abs(asked.params["n"] - 4) + (asked.params["k"] != "b"))
    later = [tuple(t.params.values()) for t in study.trials[6:]]
    assert len(set(later)) == len(later)
    assert (4, "b") in [tuple(t.params.values()) for t in study.trials]


def test_a_grid_tries_every_combination_once():
    study = optuna.create_study()
    with quiet():
        for _ in range(4 * 4 * 3):
            study.sampler = Grid(levels=4).sampler(0)
            asked = study.ask()
            (
                asked.suggest_float("x", 1e-3, 1.0, log=True),
                asked.suggest_int("n", 1, 10),
                asked.suggest_categorical("k", "abc"),
            )
            study.tell(asked, 0.0)
    found = [(round(t.params["x"], 6), t.params["n"], t.params["k"]) for t in study.trials]
    assert sorted(found) == sorted(itertools.product([0.001, 0.01, 0.1, 1.0], [1, 4, 7, 10], "abc"))


@pytest.mark.parametrize("proposer", [Sobol(), Halton()])
def test_sequences_fill_the_space_more_evenly_than_chance(proposer):
    study, names = optuna.create_study(), ("x", "y", "z")
    for _ in range(64):
        study.sampler = proposer.sampler(0)
        asked = study.ask()
        for name in names:
            asked.suggest_float(name, 0, 1)
        study.tell(asked, 0.0)
    points = np.array([[t.params[name] for name in names] for t in study.trials])
    chance = [qmc.discrepancy(np.random.default_rng(k).random((64, 3))) for k in range(20)]
    assert qmc.discrepancy(points) < 0.5 * min(chance)


def test_halton_without_permuted_figures_is_scipys():
    expected = qmc.Halton(4, scramble=False).random(50)
    ours = [[mirrored(n, base, list(range(base))) for base in primes(4)] for n in range(50)]
    np.testing.assert_allclose(ours, expected, atol=1e-8)


def test_boxes_shrink_around_the_best_and_stay_inside():
    study = proposals("coarse_to_fine", 0, 60)
    shrunk = boxes(study, CoarseToFine().sweep, 0.4, 5)
    assert shrunk[0] == {}
    for number, box in enumerate(shrunk[1:], 1):
        low, high = box["x"]
        assert high - low == pytest.approx(0.4**number)
        assert 0 <= low < high <= 1
    low, high = shrunk[-1]["x"]
    assert low - 0.05 <= place(FloatDistribution(-1, 1), 0.3) <= high + 0.05


def test_a_child_differs_from_its_parent_in_one_dial():
    proposer, study = Evolution(population=5, sample=5), optuna.create_study()
    dials = {"x": FloatDistribution(0, 1), "n": IntDistribution(1, 9), "k": CategoricalDistribution(["a", "b", "c"])}
    for number in range(30):
        study.sampler = proposer.sampler(number)
        asked = study.ask(dials)
        study.tell(asked, asked.params["x"])
    for child in study.trials[5:]:
        pool = study.trials[child.number - 5 : child.number]  # all five are drawn, so the best is the parent
        parent = min(pool, key=lambda t: t.value)
        changed = [
            name
            for name, dial in dials.items()
            if abs(place(dial, child.params[name]) - place(dial, parent.params[name])) > 1e-9
        ]
        assert len(changed) == 1


@pytest.mark.parametrize(
    "dial",
    [
        FloatDistribution(-3, 5), FloatDistribution(1e-6, 1, log=True), FloatDistribution(-1, 1, step=0.25), IntDistribution(0, 9),
        IntDistribution(1, 1000, log=True), IntDistribution(2, 20, step=3), CategoricalDistribution(["a", 2, None]),
    ],
)  # fmt: skip
def test_places_and_values_are_each_others_inverse(dial):
    for at in np.linspace(0, 1, 101):
        found = value(dial, at)
        assert dial._contains(dial.to_internal_repr(found))
        assert value(dial, place(dial, found)) == pytest.approx(found) if not isinstance(found, str) else True


def test_trials_of_different_lengths_are_judged_at_one_that_enough_have_reached():
    study = optuna.create_study(direction="maximize")
    for number, length in enumerate([1, 2, 3, 3, 3, 9]):
        curve = {step: number + step / 10 for step in range(1, length + 1)}
        study.add_trial(optuna.create_trial(state=TrialState.PRUNED, intermediate_values=curve))
    assert [(one.trial.number, one.loss) for one in rated(study, enough=4)] == [(n, -(n + 0.3)) for n in (2, 3, 4, 5)]
    assert [one.trial.number for one in rated(study, enough=5)] == [1, 2, 3, 4, 5]


def test_any_sampler_of_optunas_proposes():
    study = optuna.create_study()
    for number in range(20):
        proposer = Sampled(make=lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=5), said="Optuna's GP")
        with quiet():
            study.sampler = proposer.sampler(number)
            asked = study.ask({"x": FloatDistribution(-1, 1)})
            asked.report((asked.params["x"] - 0.5) ** 2, 1)
            study.tell(asked, state=TrialState.PRUNED)
    assert proposer.because(3) == "Optuna's GP"
    assert min(abs(t.params["x"] - 0.5) for t in study.trials[10:]) < 0.02


def test_warnings_stay_with_optuna():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in PROPOSERS.values():
            made().sampler(1)
