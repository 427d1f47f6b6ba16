"""The part of the report that shows images beside their true masks and the answers of the model."""

from __future__ import annotations

import math
import re

from tuneful.report.charts import figure
from tuneful.report.markup import Html, tag
from tuneful.report.story import Story
from tuneful.report.words import number, rows, table

_PNG = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")  # nothing else is shown


def masks(story: Story) -> Html | None:
    """Test images from the worst to the best: the image, the truth, the answer."""
    lines: list[Html] = []
    worth: list[float] = []
    for entry in map(table, rows(story.evidence.get("pictures"))):
        parts = [str(entry.get(name, "")) for name in ("image", "truth", "answer")]
        dice = entry.get("dice")
        if not all(_PNG.fullmatch(part) for part in parts) or not isinstance(dice, int | float) or not math.isfinite(dice):
            continue
        at = number(int(entry.get("example", 0)) + 1)
        words = ("test image", "true mask of test image", "answer for test image")
        shown = [_picture(part, f"{word} {at}") for part, word in zip(parts, words, strict=True)]
        worth.append(float(dice))
        lines.append(
            tag(
                "tr",
                tag("th", f"{at}", tag("span", f"Dice {number(float(dice), 3)}"), scope="row"),
                *(tag("td", one) for one in shown),
            )
        )
    if not lines:
        return None
    sentence = f"From the worst test image, Dice {number(worth[0], 3)}, to the best, {number(worth[-1], 3)}, in even steps."
    head = tag("thead", tag("tr", *(tag("th", word, scope="col") for word in ("test image", "image", "truth", "answer"))))
    body = tag("table", tag("caption", sentence, class_="unseen"), head, tag("tbody", *lines), class_="masks")
    note = "Pixels whose class nobody knows are grey in the truth." if len(rows(story.facts.get("labels"))) > 1 else ""
    return figure(
        "Image, truth, answer",
        sentence,
        tag("div", body, class_="box", tabindex="0", role="region", aria_label=sentence),
        note=note,
    )


def _picture(uri: str, words: str) -> Html:
    return tag("img", src=uri, alt=words, loading="lazy")
