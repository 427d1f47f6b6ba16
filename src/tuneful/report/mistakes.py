"""The part of the report that tells where the result errs: confusion, classes, residuals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuneful.report.axis import Axis
from tuneful.report.charts import Cell, boxes, dots, figure, grid, line, plot, whisker
from tuneful.report.markup import Child, Html, short, tag
from tuneful.report.proof import figures
from tuneful.report.story import Story
from tuneful.report.words import alike, fixed, many, measured, number, rows, share, table, whole

NUMBERED = 20  # classes up to which the cells carry their counts
DRAWN = 50  # classes up to which the matrix is drawn at all
COUNTED = {"entities": "words", "tagging": "words", "openset": "test examples of a class",
           "segmentation": "pixels of the test images"}  # fmt: skip


def confusion(story: Story) -> Html | None:
    """The confusion matrix, for many classes the most confused pairs alone."""
    counts = [[int(n) for n in rows(line)] for line in rows(story.evidence.get("confusion"))]
    size = len(counts)
    if not size or any(len(line) != size for line in counts):
        return None
    named = rows(story.evidence.get("confusion_of")) or rows(story.facts.get("labels"))
    labels = [str(label) for label in named]
    labels = labels if len(labels) == size else [str(k) for k in range(size)]
    total, right = sum(map(sum, counts)), sum(counts[k][k] for k in range(size))
    pairs = sorted(((counts[i][j], i, j) for i in range(size) for j in range(size) if i != j and counts[i][j]), reverse=True)
    kind = str(story.facts.get("kind"))
    counted = COUNTED.get(kind, "test examples")
    sentence = f"{total - right:,} of {total:,} {counted} ({share(total - right, total)}) are mistaken"
    if pairs:
        n, i, j = pairs[0]
        of = sum(counts[i])
        sentence += f"; most often {_name(labels[i])} is taken for {_name(labels[j])} ({n:,} of {of:,}, {share(n, of)})."
    else:
        sentence += "."
    title = "Confusion matrix" if size <= DRAWN else "The most confused pairs"
    lines: list[Sequence[Child | Cell]] = [
        (short(labels[i], 40), short(labels[j], 40), f"{n:,}", Cell(share(n, sum(counts[i])), n / max(sum(counts[i]), 1)))
        for n, i, j in pairs[: 30 if size > DRAWN else 12]
    ]
    listed = (
        grid(
            ("truly", "taken for", "times", "of its class"),
            lines,
            f"The most confused pairs of {title.lower()}.",
            "",
            (2, 3),
        )
        if pairs
        else None
    )
    if size > DRAWN:
        note = f"With {size:,} classes a matrix cannot be read; these are the {len(lines)} most frequent mistakes."
        return figure(title, sentence, listed, note=note)
    folded = tag("details", tag("summary", "The most confused pairs"), listed) if listed else None
    note = "Rows are the true classes, columns the predicted ones; shade is the share of the row."
    note += " A word counts for the type of its entity; O is none." if kind == "entities" else ""
    note += " Nothing abstains here: each example stands with its most probable class." if kind == "openset" else ""
    return figure(title, sentence, _matrix(counts, labels, sentence), folded, note=note)


def per_class(story: Story) -> Html | None:
    """Precision, recall and F1 of each class, the weakest first."""
    classes = [(str(label), table(entry)) for label, entry in table(story.evidence.get("per_class")).items()]
    known = [(label, entry, measured(entry.get("f1"))) for label, entry in classes]
    if not known:
        return None
    known.sort(key=lambda one: one[2].value if one[2] else -1.0)
    ends = [
        end for _, entry, _ in known if (m := measured(entry.get("f1"))) for end in (m.low, m.high) if math.isfinite(end)
    ]
    axis = Axis.over(ends, pad=0.03)
    decimals = alike(f1 for _, _, f1 in known)
    lines: list[Sequence[Child | Cell]] = []
    for label, entry, _ in known:
        cells: list[Child | Cell] = [short(label, 60), Cell(number(int(entry.get("n", 0))), float(entry.get("n", 0)))]
        for name in ("precision", "recall", "f1"):
            m = measured(entry.get(name))
            cells.append(figures(m, decimals))
        f1 = measured(entry.get("f1"))
        cells.append(Cell(whisker(f1, axis), f1.value, "value") if f1 else Cell(""))
        lines.append(cells)
    weakest = known[0]
    one = {"multilabel": "label", "entities": "type", "tagging": "tag"}.get(str(story.facts.get("kind")), "class")
    more = "classes" if one == "class" else f"{one}s"
    sentence = f"The weakest of {many(len(known), one, more)} is {_name(weakest[0])}" + (
        f", F1 {whole(weakest[2])}." if weakest[2] else "."
    )
    table_ = grid(
        (one, "n", "precision", "recall", "F1", "F1 with its interval"),
        lines,
        sentence,
        "classes",
        (1, 2, 3, 4),
    )
    note = "Spans that are right in type, beginning and end; intervals take whole sentences." if one == "type" else ""
    return figure(f"{one.capitalize()} by {one}", sentence, table_, class_="long", note=note)


def per_target(story: Story) -> Html | None:
    """RMSE, MAE and R2 of each of several targets, the least explained first."""
    targets = [(str(name), table(entry)) for name, entry in table(story.evidence.get("per_target")).items()]
    known = sorted(targets, key=lambda one: m.value if (m := measured(one[1].get("r2"))) else -math.inf)
    if not known:
        return None
    lines: list[Sequence[Child | Cell]] = []
    for name, entry in known:
        cells = [figures(m, alike([m])) if (m := measured(entry.get(key))) else Cell("") for key in ("rmse", "mae", "r2")]
        lines.append([short(name, 60), *cells])
    weakest = measured(known[0][1].get("r2"))
    sentence = f"Least is explained of {_name(known[0][0])}" + (f", R² {whole(weakest)}." if weakest else ".")
    return figure("Target by target", sentence, grid(("target", "RMSE", "MAE", "R²"), lines, sentence, "", (1, 2, 3)))


def residuals(story: Story) -> list[Html]:
    """Predicted against true values, and how the errors are spread."""
    data = table(story.evidence.get("residuals"))
    true, predicted = (
        [float(v) for v in rows(data.get(key)) if isinstance(v, int | float)] for key in ("true", "predicted")
    )
    pairs = [(t, p) for t, p in zip(true, predicted, strict=False) if math.isfinite(t) and math.isfinite(p)]
    if len(pairs) < 2 or len(true) != len(predicted):
        return []
    name = str(table(story.facts.get("target")).get("name") or "target")
    errors = sorted(p - t for t, p in pairs)
    n = len(errors)
    middle, low, high = errors[n // 2], errors[int(0.05 * (n - 1))], errors[int(0.95 * (n - 1))]
    axis = Axis.over([v for pair in pairs for v in pair], pad=0.02)
    marks = [
        line([(axis.low, axis.low), (axis.high, axis.high)], axis, axis, "ideal"),
        *(dots(pairs[k::8], axis, axis, f"cloud {'dense' if n > 300 else ''}".rstrip()) for k in range(8)),
    ]
    digits = max(2 - math.floor(math.log10(max(abs(low), abs(high), 1e-300))), 0)
    spread = f"nine in ten errors lie between {fixed(low, digits, True)} and {fixed(high, digits, True)}"
    sentence = f"Points on the dashed line are predicted exactly; {spread}."
    first = figure(
        "Predicted against true",
        sentence,
        plot(axis, axis, marks, sentence, (f"true {name}", f"predicted {name}"), tall=20),
        note=f"{n:,} test examples.",
    )
    bins = min(max(round(2 * n ** (1 / 3)), 8), 40)
    edge = max(abs(errors[int(0.005 * (n - 1))]), abs(errors[int(0.995 * (n - 1))])) or 1.0
    width = 2 * edge / bins
    heights = [0] * bins
    for error in errors:
        heights[min(max(int((error + edge) / width), 0), bins - 1)] += 1
    x, y = Axis.over([-edge, edge], pad=0.01), Axis.over([0, max(heights)], pad=0.0, most=4, counts=True)
    bars = [
        (-edge + k * width + width * 0.06, -edge + (k + 1) * width - width * 0.06, count) for k, count in enumerate(heights)
    ]
    told = f"The middle error is {fixed(middle, digits, True)}: {_lean(middle, high - low)}; {spread}."
    chart = plot(
        x,
        y,
        [boxes(bars, x, y, "count"), line([(0, y.low), (0, y.high)], x, y, "ideal")],
        told,
        ("predicted − true", "examples"),
        tall=20,
    )
    outside = sum(abs(e) > edge for e in errors)
    second = figure(
        "How the errors are spread",
        told,
        chart,
        note=f"{many(outside, 'larger error')} counted in the outermost bars." if outside else "",
    )
    return [first, second]


def _matrix(counts: Sequence[Sequence[int]], labels: Sequence[str], sentence: str) -> Html:
    size = len(counts)
    numbered = size <= NUMBERED
    head = [tag("th", tag("span", short(label, 18)), scope="col", title=label) for label in labels]
    lines: list[Html] = []
    for i, row in enumerate(counts):
        of = max(sum(row), 1)
        cells = [_count(n, n / of, i == j, f"{labels[i]} as {labels[j]}: {n}", numbered) for j, n in enumerate(row)]
        lines.append(tag("tr", tag("th", tag("span", short(labels[i], 18)), scope="row", title=labels[i]), *cells))
    class_ = f"matrix {'few' if size <= 12 else 'some' if numbered else 'dense'}"
    body = tag(
        "table",
        tag("caption", sentence, class_="unseen"),
        tag("thead", tag("tr", tag("td", "true ↓ · predicted →", class_="corner"), *head)),
        tag("tbody", *lines),
        class_=class_,
    )
    return tag("div", body, class_="box", tabindex="0", role="region", aria_label=sentence)


def _count(n: int, part: float, diagonal: bool, words: str, numbered: bool) -> Html:
    if not n:
        return tag("td", "·" if numbered else None, class_="nil")
    # A mistake of 5 % must be seen beside a diagonal of 95 %, so shade grows with the root of the share.
    shade = min(math.sqrt(part), 1.0) if not diagonal else part
    class_ = f"{'hit' if diagonal else 'miss'}{' deep' if shade > 0.55 else ''}"
    return tag("td", f"{n}" if numbered else None, class_=class_, title=words, style=f"--a:{100 * shade:.0f}%")


def _name(label: str) -> str:
    return f"“{short(label, 40)}”"


def _lean(middle: float, width: float) -> str:
    if width and abs(middle) < 0.02 * width:
        return "predictions are neither too high nor too low"
    return "predictions tend to be too high" if middle > 0 else "predictions tend to be too low"
