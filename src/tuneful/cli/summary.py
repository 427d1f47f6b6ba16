"""What is known of a run or an artifact, as lines for people. Reads evidence as plain data; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneful.cli.progress import ascii_signs, shown
from tuneful.report.words import duration, measured, rows, size, table


def result(evidence: Mapping[str, Any], folder: Path, mode: str) -> list[str]:
    """A finished run: the headline, the test measures beside the best baseline, where things lie, how to go on.

    mode: train, tune or optimize; a search can go on with a larger budget, a training is at its end.
    """
    lines = [str(evidence.get("headline", "")), "", *measures(evidence), ""]
    lines += [f"note: {note}" for note in rows(evidence.get("notes"))]
    artifact = folder / "artifact"
    lines += places([("folder", folder), ("report", folder / "report.html"), ("artifact", artifact)])
    if (folder / "label_errors.csv").exists() and (count := table(evidence.get("label_errors")).get("count")):
        lines += places([("labels", folder / "label_errors.csv")])
        lines[-1] += f" lists {count} that deserve a look"
    if (artifact / "manifest.json").exists():
        lines += ["", f"to predict:  tuneful predict {artifact} DATA"]
    if mode != "train":
        lines.append(f"to go on:    tuneful resume {folder} --budget LARGER")
    return lines


def places(named: Sequence[tuple[str, Path]]) -> list[str]:
    """Names and paths of what exists."""
    return [f"{name + ':':<10} {path}" for name, path in named if path.exists()]


def measures(evidence: Mapping[str, Any]) -> list[str]:
    """The measures on the test split beside those of the best baseline, the objective first."""
    test = table(evidence.get("test"))
    metric = objective(evidence)
    baselines = {str(table(one).get("name")): table(table(one).get("measures")) for one in rows(evidence.get("baselines"))}
    best = str(table(evidence.get("against_baseline")).get("baseline", ""))
    order = sorted(test, key=lambda name: name != metric)
    found = [(name, _cell(test[name]), _cell(baselines.get(best, {}).get(name))) for name in order]
    lines = grid([("on the test split", "the model", best), *found] if best else [row[:2] for row in found])
    others = [
        f"{name} {_cell(its.get(metric))}" for name, its in baselines.items() if name != best and _cell(its.get(metric))
    ]
    return [*lines, f"other baselines, {metric}: {'; '.join(others)}"] if others else lines


def objective(evidence: Mapping[str, Any]) -> str:
    """The name of the metric that was optimized."""
    return str(table(table(evidence.get("task")).get("objective")).get("metric", ""))


def artifact(evidence: Mapping[str, Any], manifest: Mapping[str, Any], folder: Path) -> list[str]:
    """An artifact: what it claims, how it was checked, how fast it is."""
    export = table(evidence.get("export"))
    parity = table(export.get("parity"))
    lines = [str(evidence.get("headline", "")), "", *measures(evidence), ""]
    task = table(evidence.get("task"))
    lines.append(f"task:      {task.get('name', '')}, {task.get('kind', '')}, {task.get('n_train', '?')} training examples")
    if export:
        lines.append(
            f"export:    ONNX opset {export.get('opset')}, {ascii_signs(size(float(export.get('bytes', 0))))}; differs from torch "
            f"by at most {parity.get('largest_difference', float('nan')):.2g} on {parity.get('rows')} rows"
        )
    for batch, one in table(export.get("latency")).items():
        lines.append(f"latency:   {_cell(one)} for {batch} example{'s' if batch != '1' else ''}")
    lines.append(f"sealed:    {manifest.get('created', '')} by tuneful {manifest.get('tuneful', '')}; every hash is right")
    return [*lines, f"folder:    {folder}", "", f"to predict:  tuneful predict {folder} DATA"]


def progress(about: Mapping[str, Any], trials: Sequence[Any], folder: Path) -> list[str]:
    """A run that has not ended: how far it is."""
    lines = [
        f"{folder.name}: not finished; {len(trials)} trials, {ascii_signs(duration(float(about.get('spent', 0.0))))} spent"
    ]
    metric = str(table(about.get("objective")).get("metric", ""))
    rated = [trial for trial in trials if trial.last is not None]
    found = [("trial", "state", "epochs", f"{metric} on valid", "why")]
    for trial in rated[-20:]:
        why = trial.ended_because or trial.because
        found.append((str(trial.number), trial.state, f"{trial.last.epoch:.3g}", shown(trial.last.value), why))
    if rated:
        lines += ["", *grid(found)]
    return [*lines, "", f"to go on:    tuneful resume {folder}"]


def grid(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns, two blanks apart; trailing blanks are left out."""
    if not lines:
        return []
    widths = [max(len(row[at]) for row in lines) for at in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in lines]


def by_type(each: Mapping[str, Any]) -> list[str]:
    """Precision, recall and F1 of each type, with how many there are and how many were called so."""
    head = ("type", "there", "called", "precision", "recall", "f1")
    found = [(name, str(table(its).get("n", "")), str(table(its).get("called", "")),
              *(_cell(table(its).get(key)) for key in head[3:])) for name, its in each.items()]  # fmt: skip
    return grid([head, *found])


def _cell(value: Any) -> str:
    found = measured(value)
    return shown(found) if found is not None else ""
