"""The page: what comes in which order, and the one file that it is written to.

The file asks nothing of the network, and says so to the browser: its content policy forbids every request and every script
but the one whose hash it names. Without that script (sorting, pointing, copying) everything can still be read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from tuneful.core.errors import StorageError
from tuneful.report import abstention, cleaning, forecasts, mistakes, pictures, proof, record, search, writings
from tuneful.report.markup import Html, join, tag
from tuneful.report.story import Story
from tuneful.report.words import many, number, rows

CONDITIONS = {
    "running": "This study is still running; the report shows what is known so far.",
    "interrupted": "This study was interrupted; the report shows what was known by then. The same command continues it.",
}


def render(story: Story) -> str:
    """The report as one HTML document. Deterministic: the same story gives the same text.

    Cost: about 1 s for 1,000 trials of 100 points; the file stays below 3 MB.
    """
    first, *rest = story.headlines()
    sections = [
        section("proof", "How good it is", [*proof.baselines(story), proof.measures(story)], "wide"),
        section(
            "mistakes",
            "Where it errs",
            [
                writings.written(story),
                pictures.masks(story),
                abstention.curve(story),
                mistakes.confusion(story),
                *mistakes.residuals(story),
                proof.calibration(story),
                mistakes.per_class(story),
                forecasts.steps(story),
                *forecasts.drawn(story),
                mistakes.per_target(story) if story.facts.get("kind") != "forecasting" else None,
            ],
        ),
        section("search", "How it was found" if len(story.trials) > 1 else "How it learned", search.search(story)),
        section("recipe", "What it is made of", [record.recipe(story), record.export(story)]),
        section("data", "What it learned from", [*record.data(story), cleaning.steps(story), cleaning.labels(story)]),
        section(
            "time", "What it cost and how to repeat it", [record.time(story), record.plan(story), *record.reproduce(story)]
        ),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    links = [tag("a", title, href=f"#{name}") for name, title, _ in shown]
    header = tag(
        "header",
        tag("p", "tuneful ", tag("b", story.title), tag("span", story.made_at) if story.made_at else None, class_="from"),
        tag("p", CONDITIONS[story.condition], class_=f"condition {story.condition}")
        if story.condition in CONDITIONS
        else None,
        tag("h1", unbroken(first), class_="long" if len(first) > 100 else None),
        *(tag("p", line, class_="lede") for line in rest),
        tag("p", _about(story), class_="about") if story.facts else None,
        _notes(story),
        proof.cards(story),
        tag("nav", *links, aria_label="Sections") if len(links) > 1 else None,
    )
    main = tag("main", *(body for _, _, body in shown))
    footer = tag(
        "footer",
        "Made by tuneful. Every figure in brackets is an interval; “n” is what it was measured on. This file needs no network.",
    )
    return document(f"{story.title}: {first}", header, main, footer)


def document(title: str, *parts: Html) -> str:
    """One HTML document: our style, our script and nothing from elsewhere around the parts of a page."""
    script = _asset("script.js")
    seal = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{seal}'; img-src data:; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        Html('<link rel="icon" href="data:,">'),
        Html(f"<style>{_asset('style.css')}</style>"),
    )
    body = tag(
        "body",
        tag("a", "Skip to the report", href="#top", class_="unseen"),
        tag("div", *parts, id="top", class_="page"),
        Html(f"<script>{script}</script>"),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}\n{body}</html>\n'


def write(path: str | Path, story: Story) -> Path:
    """Write the report to a file; folders are made as needed, and an older report is replaced in one step.

    Raises StorageError when the disk is full or the place cannot be written.
    """
    return put(path, render(story))


def put(path: str | Path, text: str) -> Path:
    """Write a document to a file; see `write`."""
    target = Path(path)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise StorageError(
            f"the report {target} cannot be written: {error.strerror or error}", "free some space or name another place"
        ) from error
    return target


def section(name: str, title: str, pieces: Iterable[Html | None], class_: str = "") -> tuple[str, str, Html | None]:
    found = [piece for piece in pieces if piece]
    body = (
        tag("section", tag("h2", title), tag("div", *found, class_="pieces"), id=name, class_=class_ or None)
        if found
        else None
    )
    return name, title, body


def _about(story: Story) -> Html:
    task = story.facts
    counts = [
        f"{number(task.get(key))} {name}"
        for key, name in (("n_train", "train"), ("n_valid", "valid"), ("n_test", "test"))
        if task.get(key)
    ]
    classes = len(rows(task.get("labels")))
    labels = task.get("kind") == "multilabel"
    what = (
        (many(classes, "label") if labels else many(classes, "class", "classes"))
        if classes
        else str(task.get("kind", "")).replace("_", " ")
    )
    return join(tag("b", str(task.get("name", ""))), f", {what}; {', '.join(counts)} examples." if counts else f", {what}.")


def _notes(story: Story) -> Html | None:
    told = list(dict.fromkeys([*story.notes, *(str(note) for note in rows(story.evidence.get("notes")))]))
    return tag("ul", *(tag("li", note) for note in told), class_="notes") if told else None


def unbroken(sentence: str) -> str:
    """The sentence with intervals and comparisons that no line breaks."""
    sentence = re.sub(r" ([<=]) ", "\u00a0\\1\u00a0", sentence)
    return re.sub(r"(\S) (\[[^\[\],]{1,24}), ([^\[\]]{1,24}\])", "\\1\u00a0\\2,\u00a0\\3", sentence)


def _asset(name: str) -> str:
    return resources.files("tuneful.report").joinpath(name).read_text(encoding="utf-8")
