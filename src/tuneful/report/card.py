"""A model card in Markdown, written from the evidence alone; what is not known is said.

Source: Mitchell et al., Model Cards for Model Reporting, FAT* 2019, arXiv:1810.03993: its nine sections, in its order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tuneful.report import words
from tuneful.report.cleaning import called

_UNKNOWN = "Not known to tuneful"


def card(evidence: Mapping[str, Any], recipe: Mapping[str, Any], version: str) -> str:
    """The card of a shipped model.

    Args:
        evidence: what evidence.json holds, "export" included; every part of it may be missing. "owner": words of the model's
            owner ({"licence", "contact", ...}: `pipeline.sealing.Owner`); what nobody has said is told as not known.
        recipe: plain data of the recipe.
        version: of the tuneful that made the model.
    """
    task, owner = words.table(evidence.get("task")), words.table(evidence.get("owner"))
    parts = [
        f"# Model card: {_plain(task.get('name') or 'a model')}",
        _plain(str(evidence.get("headline", ""))),
        _details(evidence, recipe, version),
        _use(task, owner),
        _factors(task, owner),
        _metrics(task, evidence),
        _data(task, evidence, owner),
        _analyses(evidence),
        _caveats(evidence, task, owner),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(evidence: Mapping[str, Any], recipe: Mapping[str, Any], version: str) -> str:
    export, owner = words.table(evidence.get("export")), words.table(evidence.get("owner"))
    day = str(evidence.get("created", ""))[:10]
    lines = [
        f"Person or organization: {_said(owner, 'name', 'who ran it')}",
        f"Date: {day or _UNKNOWN}. Version: fingerprint {_code(str(words.table(evidence.get('task')).get('fingerprint', 'unknown')))} "
        f"of the data, tuneful {version}.",
        f"Kind: {_kind(recipe.get('model'))}, trained with {_kind(recipe.get('optimizer'))} "
        f"for {words.number(evidence.get('steps'))} steps (all settings: recipe.json).",
        f"Files: {'model.onnx and writer.onnx' if evidence.get('writings') else 'model.onnx'} (opset {export.get('opset', '?')}, {words.size(float(export.get('bytes') or 0))}), weights.safetensors.",
        "How it was trained, parameters and fairness constraints: recipe.json, evidence.json; no fairness constraint was set.",
        f"Licence: {_said(owner, 'licence', 'the owner must name one')}",
        f"Paper, other resource, citation: {_said(owner, 'citation', 'the owner may name one')}",
        f"Questions and comments to: {_said(owner, 'contact', 'the owner may name somebody')}",
    ]
    if command := str(evidence.get("command", "")):
        lines.append(f"Command: {_code(command)}.")
    return _section("Model details", lines)


def _use(task: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    target = str(words.table(task.get("target")).get("name", "")) or "the target"
    count = len(words.rows(task.get("labels")))
    ahead = len(words.rows(words.table(task.get("target")).get("columns")))
    what = (
        f"any of {count} labels" if task.get("kind") == "multilabel" else f"one of {count} classes" if count else "a value"
    )
    what = "a text" if task.get("kind") == "sequence_to_sequence" else what
    what = f"{what} at each pixel" if task.get("kind") == "segmentation" else what
    what = f"the next {ahead} values" if task.get("kind") == "forecasting" else what
    return _section(
        "Intended use",
        [
            f"Primary use: to predict {_plain(target)} ({what}) for inputs that come from where the training data came from.",
            *([f"In the owner's words: {_sentence(owner['uses'])}"] if owner.get("uses") else []),
            f"Primary users: {_said(owner, 'users')}",
            "Out of scope: inputs of another origin, and decisions on people that nobody reviews; neither was examined."
            + (f" {_sentence(owner['out_of_scope'])}" if owner.get("out_of_scope") else ""),
        ],
    )


def _factors(task: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    labels = [_plain(str(label)) for label in words.rows(task.get("labels"))]
    shown = words.listed(labels[:20]) + (" and others" if len(labels) > 20 else "")
    examined = (
        f"Examined: the {'labels' if task.get('kind') == 'multilabel' else 'classes'} ({shown})."
        if labels
        else "Examined: none beside the size of the error."
    )
    return _section(
        "Factors",
        [
            f"Relevant: {_said(owner, 'factors', 'which groups, instruments or surroundings may matter')}",
            examined,
            "Groups of people, instruments and environments were not examined: the data does not name them to tuneful.",
        ],
    )


def _metrics(task: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    goal = words.table(task.get("objective"))
    better = "larger is better" if goal.get("direction") == "max" else "smaller is better"
    lines = [f"Chosen by: {words.metric(str(goal.get('metric', 'an unnamed metric')))} on the validation split; {better}."]
    if task.get("kind") == "multilabel":
        lines.append("Decision: each label whose probability is at least 0.5; no other threshold was tried.")
    elif task.get("kind") == "openset":
        told = words.table(evidence.get("openset"))
        lines.append(
            f"Decision: the most probable class, or none: the model abstains where its score ({_plain(str(told.get('score')))}) is below "
            f"{words.number(told.get('threshold'))}, chosen so that {words.share(float(told.get('coverage') or 0), 1)} of the known "
            f"validation examples are answered. The score: {_plain(str(told.get('chosen') or 'the default'))}."
        )
    elif task.get("kind") not in words.VALUES:
        lines.append("Decision: the most probable class; no other threshold was tried.")
    lines.append("Uncertainty: every figure stands with its 95 % interval and its count; the method is in evidence.json.")
    return _section("Metrics", lines)


def _data(task: Mapping[str, Any], evidence: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    n = {part: words.number(task.get(f"n_{part}")) for part in ("train", "valid", "test")}
    openings = words.rows(task.get("openings"))
    opened = f"it was opened {words.many(len(openings), 'time')}" if openings else "no opening of it is recorded"
    prepared = "scaling and encoding were fitted on the training data only"
    evaluation = [
        f"Data: {n['test']} examples of {_plain(str(task.get('name') or 'the data'))}, held back from training and choosing; "
        f"{opened}.",
        "Motivation: the same origin as the training data, in the shares that were asked for; no other data was at hand.",
        f"Preparation: preprocessing.json; {prepared}.",
    ]
    training = [
        f"Data: {n['train']} examples to train on and {n['valid']} to choose by; "
        f"fingerprint {_code(str(task.get('fingerprint', 'unknown')))}.",
        f"How it was collected, and whom it leaves out: {_said(owner, 'collection')}",
        "Distributions: each input by itself in reference.json, ranges in inputs.json.",
    ]
    steps = [words.table(step) for step in words.rows(task.get("cleaning"))]
    training += [
        f"Cleaning ({step.get('by')}), {step.get('split')}: {_code(called(step))}: {_plain(str(step.get('what')))}, "
        f"{words.number(step.get('count'))} of {words.number(step.get('of'))}."
        for step in steps[:30]
    ]
    if suspected := words.table(evidence.get("label_errors")).get("count"):
        training.append(
            f"Suspected label errors: {words.number(suspected)}, listed by out-of-fold confidence; none was changed."
        )
    findings = [words.table(finding) for finding in words.rows(task.get("findings"))]
    training += [
        f"Finding ({finding.get('severity')}): {_plain(str(finding.get('what')))}, {finding.get('count')} of {finding.get('of')}."
        for finding in findings[:20]
    ]
    return _section("Evaluation data", evaluation) + "\n\n" + _section("Training data", training)


def _analyses(evidence: Mapping[str, Any]) -> str:
    lines = ["## Quantitative analyses", ""]
    measures = words.table(evidence.get("test")) or words.table(evidence.get("valid"))
    split = "test" if evidence.get("test") else "validation"
    lines += [f"| {split} split | value | 95 % interval | n |", "|---|---|---|---|"]
    lines += [_row(words.metric(name), found) for name, found in measures.items()]
    if classes := words.table(evidence.get("per_class")):
        lines += ["", "| class | precision | recall | F1 | n |", "|---|---|---|---|---|"]
        for label, found in list(classes.items())[:100]:
            cells = [_measured(words.table(found).get(name)) for name in ("precision", "recall", "f1")]
            lines.append(f"| {_plain(label)} | {' | '.join(cells)} | {words.number(words.table(found).get('n'))} |")
    if against := words.table(evidence.get("against_baseline")):
        lines += [
            "",
            f"Against the best baseline ({_plain(str(against.get('baseline')))}), "
            f"{words.metric(str(against.get('metric')))}: {against.get('verdict')}; "
            f"difference {_measured(against.get('difference'))}, {_plain(str(against.get('test', '')))} "
            f"{words.p_value(float(p)) if isinstance(p := against.get('p'), int | float) else ''}.".replace(" .", "."),
        ]
    export = words.table(evidence.get("export"))
    if (told := words.table(export.get("explanation"))).get("kind"):
        places = "x".join(map(str, told["shape"]))
        lines += [
            "",
            f"Which of {places} places of an example spoke for an answer is told by a {told['kind']}: where the network looked, not why.",
        ]
    if parity := words.table(export.get("parity")):
        lines += [
            "",
            f"model.onnx against torch on {words.number(parity.get('rows'))} validation rows: largest difference "
            f"{words.number(parity.get('largest_difference'), 2)} (allowed: {words.number(parity.get('tolerance'), 2)})."
            if parity.get("tolerance") is not None
            else f"{words.number(parity.get('largest_difference'), 2)}: the graph was changed after the network was trained.",
        ]
    lines += _improved(words.table(evidence.get("improved")))
    for batch, found in words.table(export.get("latency")).items():
        lines += [
            "",
            f"Time of one call with {batch} rows, one CPU thread of the machine that shipped it: {_measured(found)}.",
        ]
    lines += ["", "Combinations of factors were not examined."]
    return "\n".join(lines)


def _improved(told: Mapping[str, Any]) -> list[str]:
    """By which steps the model was made smaller or faster, and what they cost."""
    if not told:
        return []
    lines = ["", "Made smaller or faster by these steps, in this order:", ""]
    for step in words.rows(told.get("steps")):
        its = words.table(step)
        settings = ", ".join(f"{key} {value}" for key, value in its.items() if key != "kind")
        lines.append(f"- {_code(str(its.get('kind')))}{f' ({_plain(settings)})' if settings else ''}")
    for key, split in (("losses", "validation"), ("on_test", "test")):
        for one in words.rows(told.get(key)):
            its = words.table(one)
            lines.append(
                f"- Against the original on the {split} split, paired, {words.metric(str(its.get('metric')))}: "
                f"{_measured(its.get('difference'))} (+ is better; at most {words.number(its.get('most'), 3)} may be lost)."
            )
    return lines


def _caveats(evidence: Mapping[str, Any], task: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    ethics = _section(
        "Ethical considerations",
        [
            f"Sensitive data, human life and health: {_said(owner, 'sensitive')}",
            f"Risks, harms, mitigations, uses to beware of: {_said(owner, 'risks', 'nobody has reviewed them')}",
        ],
    )
    notes = [_sentence(note) for note in words.rows(evidence.get("notes"))]
    notes += [_sentence(owner["advice"])] if owner.get("advice") else []
    n = task.get("n_test")
    if isinstance(n, int) and n < 200:
        notes.append(f"The test split has only {n} examples: mind the width of the intervals.")
    notes.append("The figures hold for data like the test split; watch the model once it meets other data.")
    return ethics + "\n\n" + _section("Caveats and recommendations", notes)


def _said(owner: Mapping[str, Any], key: str, missing: str = "") -> str:
    """Words of the owner, or that they are not known."""
    if owner.get(key):
        return _sentence(owner[key])
    return f"{_UNKNOWN[0].lower()}{_UNKNOWN[1:]}{f'; {missing}' if missing else ''}."


def _sentence(text: Any) -> str:
    return f"{_plain(str(text)).rstrip('.')}."


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines)


def _row(name: str, found: Any) -> str:
    measure = words.measured(found)
    if measure is None:
        return f"| {_plain(name)} | not measured | | |"
    return f"| {_plain(name)} | {words.central(measure)} | {words.interval(measure)} | {measure.n:,} |"


def _measured(found: Any) -> str:
    measure = words.measured(found)
    return words.whole(measure) if measure is not None else "not measured"


def _kind(section: Any) -> str:
    return _plain(str(words.table(section).get("kind", section or "unknown")))


def _plain(text: str) -> str:
    """Foreign text (labels, names, notes) as text in Markdown: one line, nothing that marks up."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    return f"{fence}{' '.join(text.split())}{fence}"


__all__ = ["card"]
