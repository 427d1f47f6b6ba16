"""Networks joined: the mean of their answers, who is chosen, when it is believed, and what of it is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tuneful.core.budget import Budget, Clock
from tuneful.core.study import Study
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_data, from_mapping
from tuneful.pipeline.confirm import FOLDER, Confirmation
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import GOALS
from tuneful.pipeline.joining import Joining, greedy, honest, join, network, scoring
from tuneful.pipeline.refit import taken
from tuneful.pipeline.tune import STATE, Search
from tuneful.techniques.search import Full, Random

SETTINGS = {
    "lr": "1e-3..3e-1", "model": "mlp", "depth": 1, "width": 8, "optimizer": "momentum", "epochs": 3, "batch_size": 50,
    "validate_every": 1, "threads": 1, "averaging": "off", "early_stopping": "off",
}  # fmt: skip
SHAPES = {
    "binary": (7, 2), "multiclass": (7, 4), "multilabel": (7, 3), "ordinal": (7, 3), "regression": (7, 1),
    "multiregression": (7, 2), "tagging": (7, 5, 3), "segmentation": (2, 4, 4, 3), "forecasting": (7, 6), "language": (3, 4, 9),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_joined_answers_with_the_mean_of_the_answers(kind):
    dice = torch.Generator().manual_seed(0)
    z = [3 * torch.randn(SHAPES[kind], generator=dice) for _ in range(3)]
    shares = [0.5, 0.3, 0.2]
    link = GOALS[kind].link()
    wanted = sum(share * link(one) for share, one in zip(shares, z, strict=True))
    found = link(GOALS[kind].mean(torch.stack(z), torch.tensor(shares)))
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-5)


def library(n: int, size: int, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Answers [n, 2] of equally good models, each with errors of its own."""
    dice = np.random.default_rng(seed)
    y = dice.integers(0, 2, n)
    z = 2.0 * (2 * y - 1) + dice.normal(size=(size, n)) * 3
    p = 1 / (1 + np.exp(-z))
    return y, [np.stack([1 - one, one], axis=1) for one in p]


def test_selection_is_that_of_the_paper_written_out(flowers):
    y, answers = library(200, 4)

    def score(p):
        return (float(((p[:, 1] > 0.5) == y).mean()), -float(((p[:, 1] - y) ** 2).mean()))

    order = sorted(range(4), key=lambda j: score(answers[j]), reverse=True)
    first = max(range(1, 5), key=lambda k: score(np.mean([answers[j] for j in order[:k]], axis=0)))
    bag = order[:first]
    best = list(bag)
    for _ in range(greedy.STEPS):
        bag.append(max(order, key=lambda j: score(np.mean([answers[i] for i in (*bag, j)], axis=0))))
        if score(np.mean([answers[i] for i in bag], axis=0)) > score(np.mean([answers[i] for i in best], axis=0)):
            best = list(bag)
    wanted = np.bincount(best, minlength=4) / len(best)
    np.testing.assert_allclose(greedy.weights(answers, score, most=4), wanted)


def test_no_more_members_than_were_asked_for_and_the_same_ones_again():
    y, answers = library(400, 12)
    score = lambda p: (-float(((p[:, 1] - y) ** 2).mean()),)  # noqa: E731
    shares = greedy.weights(answers, score, most=3)
    assert (shares > 0).sum() == 3
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_array_equal(shares, greedy.weights(answers, score, most=3))


def test_the_area_by_ranks_is_that_of_scikit_learn(flowers):
    metrics = pytest.importorskip("sklearn.metrics")
    dice = np.random.default_rng(0)
    y, p = dice.integers(0, 2, 300), dice.integers(0, 20, 300) / 20  # with ties
    assert scoring._area(p, y == 1) == pytest.approx(metrics.roc_auc_score(y, p))


def asked(flowers, y, answers):
    """The test of an ensemble of a library against its best member."""
    task = replace(
        flowers, kind="binary", labels=("no", "yes"), valid=replace(flowers.valid, x=np.zeros((len(y), 1), "f4"), y=y)
    )
    task = replace(task, objective=replace(task.objective, metric="auroc"))

    def best(rows):
        _, score = scoring.by(task, y[rows])
        return max(answers, key=lambda one: score(one[rows]))

    def ensemble(rows):
        _, score = scoring.by(task, y[rows])
        return greedy.mean(answers, greedy.weights([one[rows] for one in answers], score, 5))

    return honest.tested(task, honest.apart(task, ensemble), honest.apart(task, best), 1)


def test_an_ensemble_of_independent_errors_is_believed(flowers):
    y, answers = library(300, 6)
    assert asked(flowers, y, answers).better


def test_an_ensemble_of_guesses_is_rarely_believed(flowers):
    wrong = 0
    for seed in range(12):
        dice = np.random.default_rng(seed)
        y, p = (
            dice.integers(0, 2, 100),
            dice.uniform(size=(5, 100)),
        )  # on the rows that chose it the ensemble looks better than chance
        wrong += asked(flowers, y, [np.stack([1 - one, one], axis=1) for one in p]).better
    assert wrong <= 2  # of 12 at a level of 5 %; more than 2 has a chance of 2 %


def confirmed(flowers, folder) -> tuple[Confirmation, Search]:
    """A search of four trials, of which the best two ran again."""
    recipe, space = from_mapping(SETTINGS, flowers)
    study, clock, recipe = Study.create(folder, "s", flowers, space), Clock(Budget(trials=4)), resolve(recipe, flowers)
    search = Search(study, flowers, recipe, space, clock, device="cpu", proposer=Random(), scheduler=Full(), stacked=False)
    for _ in search:
        pass
    again = Confirmation(study, flowers, recipe, clock, device="cpu", seeds=2, candidates=2, stacked=False)
    for _ in again:
        pass
    return again, search


@pytest.fixture(scope="module")
def searched(flowers, tmp_path_factory):
    return confirmed(flowers, tmp_path_factory.mktemp("joining") / "s")


@pytest.fixture
def believed(monkeypatch):
    """Whatever may be joined is joined and taken, so that what follows from it can be looked at."""

    def equal(answers, score, most, seed=0):
        best = sorted(range(len(answers)), key=lambda j: score(answers[j]), reverse=True)[:most]
        return np.bincount(best, minlength=len(answers)) / most

    real = join.tested
    monkeypatch.setattr(greedy, "weights", equal)
    monkeypatch.setattr(join, "tested", lambda *told: replace(real(*told), better=True))
    monkeypatch.setattr(join.Joining, "_preferred", lambda self, ways, pool: "ensemble" if "ensemble" in ways else "")


def decided(searched, name: str, **how) -> Joining:
    again, search = searched
    again.study.remember("joined", {})
    joining = Joining(again, search, **how)
    joining.again.tidy = lambda kept=(): None  # the fixture is shared
    joining.settle()
    return joining


def test_the_joined_network_says_the_mean_and_is_taken_up_as_it_was(searched, believed, flowers):
    joining = decided(searched, "one", most=3)
    assert joining.verdict["kind"] == "ensemble", joining.verdict["sentence"]
    trial, candidate = joining.candidate()
    members = joining.verdict["members"]
    assert 2 <= len(members) <= 3
    assert sum(one["weight"] for one in members) == pytest.approx(1)
    assert trial.number == members[0]["trial"]
    alone = [joining._origin(one["trial"], one["run"]).run.candidate() for one in members]
    for one, told in zip(alone, members, strict=True):
        p = judge.predict(one.network, flowers.valid.x, kind=flowers.kind)
        assert judge.score("accuracy", p, flowers.valid.y) == pytest.approx(told["value"]["value"])
    wanted = sum(
        told["weight"] * judge.predict(one.network, flowers.valid.x, kind=flowers.kind)
        for told, one in zip(members, alone, strict=True)
    )
    found = judge.predict(candidate.network, flowers.valid.x, kind=flowers.kind)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    again, search = searched
    second = Joining(again, search, most=3)
    second.again.tidy = lambda kept=(): None
    second.settle()
    assert second.verdict == joining.verdict == json.loads((again.study.folder / "joined.json").read_text())
    _, same = taken(again, search, {"confirmation": again.verdict, "joined": joining.verdict})
    for a, b in zip(candidate.network.state_dict().values(), same.network.state_dict().values(), strict=True):
        assert (a == b).all()


def test_the_file_of_an_ensemble_answers_as_torch_does(searched, believed, flowers, tmp_path):
    from tuneful.pipeline.export import export, served
    from tuneful.runtime.load import open_session

    _, candidate = decided(searched, "file", most=2).candidate()
    session = open_session(export(candidate.network, flowers))
    for rows in (1, 7):
        x = flowers.valid.x[:rows]
        with torch.no_grad():
            wanted = served(candidate.network, flowers.kind)(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x})[0], wanted, atol=1e-6)


def test_a_limit_that_two_networks_break_leaves_one(searched, believed, flowers):
    _, search = searched
    size = sum(t.numel() * 4 for t in search.candidate()[1].network.state_dict().values()) / 1e6
    before = search.task
    search.task = replace(before, objective=replace(before.objective, where=(f"size<{1.5 * size:.6f}MB",)))
    try:
        verdict = decided(searched, "limit").verdict
    finally:
        search.task = before
    assert verdict["kind"] == "single"
    assert "breaks a limit" in verdict["sentence"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"most": 0}, "no ensemble was asked for"), ({"left": 0.0}, "were left")],
)
def test_it_says_why_nothing_is_joined(searched, change, said):
    verdict = decided(searched, "why", **change).verdict
    assert verdict["kind"] == "single"
    assert said in verdict["sentence"]


def test_only_what_is_taken_keeps_its_weights(flowers, tmp_path, believed):
    again, search = confirmed(flowers, tmp_path)
    joining = Joining(again, search, most=2)
    joining.settle()
    kept = {(one["trial"], one["run"]) for one in joining.verdict["members"]} | {
        (again.verdict["chosen"], again.verdict["run"])
    }
    wanted = {again.path(*one) for one in kept if one[1]}
    assert set((tmp_path / FOLDER).glob(f"*/{STATE}")) == wanted
    _, first = joining.candidate()
    for path in wanted:
        path.unlink()  # a lost member is trained anew, to the same bits
    _, second = joining.candidate()
    for a, b in zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True):
        assert (a == b).all()
    assert from_data(search.study.trial(0).recipe).model.kind == "mlp"
    assert isinstance(first.network.body, network.Joined)
