"""Finding runs and artifacts by path or by name, and telling what was meant when there is none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

from tuneful.cli.mistakes import nearest
from tuneful.core.errors import ArtifactError, StorageError, StudyError, TunefulError


def home(given: Path | None = None) -> Path:
    """Where runs lie: the option --home, $TUNEFUL_HOME, or runs/ here."""
    return given or Path(os.environ.get("TUNEFUL_HOME") or "runs")


def names(root: Path) -> list[str]:
    """The runs below a folder, the newest first."""
    if not root.is_dir():
        return []
    found = [entry for entry in root.iterdir() if (entry / "job.json").is_file()]
    return [entry.name for entry in sorted(found, key=lambda entry: -(entry / "job.json").stat().st_mtime)]


def run(given: str, root: Path) -> Path:
    """The folder of a run, given as a path or by its name below `root`. Raises StudyError with the nearest name."""
    for path in (Path(given), root / given):
        if (path / "job.json").is_file():
            return path
    path = Path(given)
    if (path / "manifest.json").is_file():
        raise StudyError(f"{given} is an artifact, not a run", f"its run may be {path.parent}")
    there = names(root)
    if path.is_dir():
        raise StudyError(f"{given} is not the folder of a run: it holds no job.json", "`tuneful show` lists runs")
    guess = nearest(path.name, there)
    if guess:
        raise StudyError(f"there is no run {given}", f"did you mean {root / guess}?")
    listed = (
        f"{root} holds {', '.join(there[:8])}" if there else f"{root} holds no runs yet; `tuneful optimize digits` makes one"
    )
    raise StudyError(f"there is no run {given}", listed)


def artifact(given: str, root: Path) -> Path:
    """The folder of an artifact: itself, or that of a run. Raises ArtifactError, or StudyError for an unknown name."""
    path = Path(given)
    if (path / "manifest.json").is_file():
        return path
    if path.is_dir() and not (path / "job.json").is_file() and not (root / given / "job.json").is_file():
        return path  # `unseal` says what is wrong with it
    found = run(given, root)
    if not (found / "artifact" / "manifest.json").is_file():
        raise ArtifactError(f"the run {found} has no artifact yet", f"`tuneful resume {found}` goes on until it has one")
    return found / "artifact"


def is_artifact(given: str) -> bool:
    """Is this path an artifact rather than a run?"""
    return (Path(given) / "manifest.json").is_file()


def evidence(folder: Path) -> dict[str, Any] | None:
    """A run's evidence; None while it is not proven. Raises StudyError when the file is damaged."""
    path = folder / "evidence.json"
    if not path.is_file():
        return None
    return dict(read(path))


def read(path: Path) -> Mapping[str, Any]:
    """A JSON file of a run. Raises StudyError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path} is missing", "`tuneful resume` writes it again") from None
    except ValueError as error:
        raise StudyError(f"{path} is damaged ({error})", "delete it and `tuneful resume` the run") from None


@contextlib.contextmanager
def writing(path: Path) -> Generator[IO[str]]:
    """A file that the user asked for, which appears under its name when all is written. Raises StorageError."""
    special = path.exists() and not path.is_file()  # a device or a pipe
    aside = path if special else path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
        if not special:
            aside.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}", "give another place with -o") from None
    finally:
        if not special:
            aside.unlink(missing_ok=True)


def write(path: Path, text: str, new: bool = False) -> None:
    """Write a file that the user asked for. new: refuse one that exists. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x" if new else "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise TunefulError(f"{path} exists and is not overwritten", "give another name with -o, or move it away") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}", "give another place with -o") from None
