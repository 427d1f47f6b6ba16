"""The lineage of a population in the report: who is whose copy, and the settings that the best had one after the other."""

from tuneful.core.measure import Measure
from tuneful.core.trial import Point, Trial
from tuneful.report.lineage import lineage
from tuneful.report.story import Story


def grown(number, epochs, value, parent=None, **dials):
    curve = tuple(
        Point(k, float(k), Measure(value, value - 0.01, value + 0.01, 100), 1.0, 1.0, 0.1, float(k))
        for k in range(1, epochs + 1)
    )
    return Trial(number, {}, dials, "", curve, "paused", tags={"parent": parent} if parent else {})


def test_the_course_of_the_best_is_told_from_its_first_ancestor_on():
    trials = (
        grown(0, 9, 0.8, lr=0.1), grown(1, 3, 0.5, lr=0.9), grown(2, 6, 0.7, lr=0.2),
        grown(3, 9, 0.85, {"number": 2, "replaces": 1, "epoch": 3.0}, lr=0.16),
        grown(4, 9, 0.95, {"number": 3, "replaces": 2, "epoch": 6.0}, lr=0.192),
    )  # fmt: skip
    told = str(lineage(Story("s", trials=trials[::-1], task={"objective": {"metric": "accuracy", "direction": "max"}})))
    assert "2\u00a0copies took the places of others; trial 4, the best, goes back by 2\u00a0copies to trial 2." in told
    course = told[told.index("<table") :]
    assert course.index("0 to 3") < course.index("3 to 6") < course.index("6 to 9")
    assert [course.index(rate) for rate in (">0.2<", ">0.16<", ">0.192<")] == sorted(
        course.index(rate) for rate in (">0.2<", ">0.16<", ">0.192<")
    )
    assert told.count('class="curve thin"') == 2 + 0


def test_a_search_without_copies_has_no_lineage():
    assert lineage(Story("s", trials=(grown(0, 3, 0.5, lr=0.1), grown(1, 3, 0.6, lr=0.2)))) is None
