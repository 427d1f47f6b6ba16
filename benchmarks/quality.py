"""What the defaults reach on real data: `tuneful optimize` with a path and what the file cannot say, against a bar that was set before.

    python benchmarks/quality.py                  every bar, 600 s each
    python benchmarks/quality.py 120 fsdd mnist   some, with another budget

The sets lie in $TUNEFUL_DATA or beside the checkout; those that are absent are left out and named. A line a set goes to
results/quality.jsonl: the test measure with its interval, the bar, whether it holds, the best baseline and the verdict of the
paired comparison with it. Where the bar is None, that verdict stands for it.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import record

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
TUNEFUL = Path(sys.executable).with_name("tuneful")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


@dataclass(frozen=True)
class Bar:
    """One command. words: what follows the path; make: a file or folder made of the set first, when it is not read as it lies."""

    set: str
    metric: str
    bar: float | None
    words: tuple[str, ...] = ()
    make: Callable[[Path, Path], Path] | None = None
    least: bool = False  # is less better?
    also: tuple[str, float] | None = None  # a second measure that the evidence holds, and its bar


def inside(name: str) -> Callable[[Path, Path], Path]:
    """A file or folder of the set."""
    return lambda data, _: data / name


def batches(data: Path, to: Path) -> Path:
    """CIFAR-10's published python batches, made of the sheets that the set is stored as."""
    subprocess.run([sys.executable, str(data / "materialise.py"), "--py", str(to)], check=True, capture_output=True)
    return to / "cifar-10-batches-py"


def sounds(test: Callable[[str, int], bool]) -> Callable[[Path, Path], Path]:
    """FSDD as a list of files; test(speaker, take) says what is kept for the test."""

    def make(data: Path, to: Path) -> Path:
        with zipfile.ZipFile(data / "recordings.zip") as archive:
            archive.extractall(to)
        with (to / "list.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("path", "label", "split"))
            for path in sorted(to.rglob("*.wav")):
                digit, speaker, take = path.stem.split("_")
                rows.writerow((path.relative_to(to).as_posix(), digit, "test" if test(speaker, int(take)) else "train"))
        return to / "list.csv"

    return make


def unzipped(name: str, rows: int | None = None) -> Callable[[Path, Path], Path]:
    """A table, or its first rows."""

    def make(data: Path, to: Path) -> Path:
        path = to / name.removesuffix(".gz")
        with gzip.open(data / name, "rt", encoding="utf-8") as source, path.open("w", encoding="utf-8") as out:
            for number, line in enumerate(source):
                if rows is None or number <= rows:
                    out.write(line)
        return path

    return make


BARS: dict[str, Bar] = {
    "mnist": Bar("mnist", "accuracy", 0.995),
    "cifar10": Bar("cifar10", "accuracy", 0.80, make=batches),
    "adult": Bar("adult", "auroc", 0.928),
    "california_housing": Bar("california_housing", "rmse", None, least=True),
    "telco_churn": Bar("telco_churn", "auroc", None),
    "taxis": Bar("taxis", "rmse", None, ("target=fare", "leave_out=total,tip,tolls"), least=True),
    "wine_white": Bar("wine_quality", "rmse", None, ("target=quality", "kind=regression"), inside("winequality-white.csv"), least=True),
    "wine_red": Bar("wine_quality", "rmse", None, ("target=quality", "kind=regression"), inside("winequality-red.csv"), least=True),
    "rt_polarity": Bar("rt_polarity", "accuracy", 0.79, ("metric=accuracy",)),
    "sms_spam": Bar("sms_spam", "f1_macro", 0.965, ("metric=f1_macro",)),
    "clinc150": Bar("clinc150", "accuracy", 0.92, make=inside("data_full.json.gz"), also=("auroc_outside", 0.93)),
    "imdb": Bar("imdb_subset", "accuracy", 0.89, ("metric=accuracy",)),
    "fsdd": Bar("fsdd_2100", "accuracy", 0.985, make=sounds(lambda _, take: take < 5)),
    **{
        f"fsdd_without_{name}": Bar("fsdd_2100", "accuracy", None, make=sounds(lambda speaker, _, out=name: speaker == out))
        for name in SPEAKERS
    },
    "clothing": Bar("clothing_small", "accuracy", 0.45),
    "music_emotions": Bar("music_emotions", "auroc", 0.88, make=inside("music.csv.gz"), words=(
        "target=amazed-suprised,happy-pleased,relaxing-clam,quiet-still,sad-lonely,angry-aggresive",)),
    "ucr_gunpoint": Bar("ucr_dev", "accuracy", 0.913, ("metric=accuracy",), inside("GunPoint")),
    "ucr_italy": Bar("ucr_dev", "accuracy", 0.955, ("metric=accuracy",), inside("ItalyPowerDemand")),
    "ucr_osuleaf": Bar("ucr_dev", "accuracy", 0.521, ("metric=accuracy",), inside("OSULeaf")),
    "ucr_basicmotions": Bar("ucr_dev", "accuracy", 0.6, ("metric=accuracy",), inside("BasicMotions")),
    "etth1": Bar("etth1", "mse", None, ("target=OT", "horizon=24", "valid=0.2", "test=0.2"), unzipped("ETTh1.csv.gz", 14_400), least=True),
    "elec2": Bar("elec2_drift", "auroc", 0.74, ("target=class", "order=rows", "test=0.7", "valid=0.06"), inside("elec.csv.gz")),
    "wnut17": Bar("wnut17_ner", "entity_f1", None),
    "enja": Bar("enja_small_parallel", "bleu", None),
    "shakespeare": Bar("tiny_shakespeare", "bits_per_token", 2.3, make=inside("input.txt"), least=True),
}  # fmt: skip


def measure(name: str, bar: Bar, seconds: int) -> None:
    """Run one command and record what came of it."""
    data = DATA / bar.set
    if not data.exists():
        print(f"{bar.set} is not here; left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as made:
        source = bar.make(data, Path(made)) if bar.make else data
        command = [str(TUNEFUL), "optimize", str(source), *bar.words, "--budget", f"{seconds}s"]
        began = time.perf_counter()
        done = subprocess.run(command, env={**os.environ, "TUNEFUL_HOME": home}, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - began
        if done.returncode:
            record("quality", name, {"exit": done.returncode, "error": done.stderr.splitlines()[-3:]})
            return
        folder = next(Path(home).glob("[!.]*"))
        evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
        record("quality", name, figures(bar, evidence) | {
            "command": " ".join(("tuneful optimize", bar.set, *bar.words)), "budget_s": seconds, "wall_s": round(wall, 1),
            "trials": evidence["search"]["trials"],
        })  # fmt: skip
        if kept := os.environ.get("KEEP"):
            shutil.copytree(folder, Path(kept) / name, dirs_exist_ok=True)


def figures(bar: Bar, evidence: dict[str, Any]) -> dict[str, Any]:
    """The measure, the bar and what the evidence says of the baselines."""
    found = evidence["test"].get(bar.metric, {})
    value, against = found.get("value"), evidence["against_baseline"]
    holds = None
    if value is not None and bar.bar is not None:
        holds = value <= bar.bar if bar.least else value >= bar.bar
    told: dict[str, Any] = {"metric": bar.metric, "test": found, "bar": bar.bar, "holds": holds}
    if bar.also:
        second = evidence["test"].get(bar.also[0], {})
        told["also"] = {"metric": bar.also[0], "test": second, "bar": bar.also[1]}
    return told | {
        "objective": evidence["task"]["objective"]["metric"], "against": against,
        "baselines": {one["name"]: one["measures"].get(bar.metric, {}).get("value") for one in evidence["baselines"]},
    }  # fmt: skip


if __name__ == "__main__":
    words = sys.argv[1:]
    seconds = int(words.pop(0)) if words and words[0].isdigit() else 600
    for name in words or BARS:
        measure(name, BARS[name], seconds)
