"""What options say, as settings among the words of a command: one way leads from either to the job."""

from __future__ import annotations

from pathlib import Path

from tuneful.cli import runs


def from_champion(words: list[str], champion: str | None, home: Path | None) -> list[str]:
    """The words, and a setting for the artifact that --from names."""
    if champion is None:
        return words
    return [*words, f"champion={runs.artifact(champion, runs.home(home)).resolve()}"]


def with_steps(words: list[str], clean: list[str] | None) -> list[str]:
    """The words, and a setting for each step of cleaning that stands behind --clean."""
    return [*words, *(f"clean={step}" for step in clean or ())]


def searching(
    words: list[str], workers: str | None, deterministic: bool, storage: str | None, confirm: int | None = None,
    search: str | None = None, scheduler: str | None = None, stop_when: str | None = None, objectives: str | None = None,
    where: list[str] | None = None, like: str | None = None, ensemble: int | None = None, final: str | None = None,
    proxy: str | None = None, full: str | None = None, on: str | None = None,
) -> list[str]:  # fmt: skip
    """The words, and settings for what options say of the search."""
    said = [f"{key}={value}" for key, value in (("workers", workers), ("storage", storage)) if value is not None]
    said += [f"confirm={confirm}"] if confirm is not None else []
    said += [f"final={final}"] if final is not None else []
    said += [f"ensemble={ensemble}"] if ensemble is not None else []
    said += [f"stop_when={stop_when}"] if stop_when is not None else []
    said += [f"objectives={objectives}"] if objectives is not None else []
    said += [f"where={','.join(where)}"] if where else []
    said += [f"like={like}"] if like is not None else []
    said += [f"{key}={value}" for key, value in (("proxy", proxy), ("full", full), ("on", on)) if value is not None]
    said += [f"proposer={search}"] if search is not None else []
    said += [f"scheduler={scheduler}"] if scheduler is not None else []
    return [*words, *said, *(["deterministic=true"] if deterministic else [])]


__all__ = ["from_champion", "searching", "with_steps"]
