"""Who leads and who follows: rank 0 does the whole story, the other ranks do of every run what rank 0 does of it.

    rank 0:   run = Led(task, recipe, ranks=ranks); for point in run.walk(): ...; run.save(path); dismissed(ranks)
    others:   follow(task, ranks)

Before rank 0 does something to a run in which the others have a part, it says a word, and they do the same: begin, put (a state, which is
handed over), walk, look, save. So searching, storing, proving and shipping know nothing of ranks, and only rank 0 writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from tuneful.core.errors import DataError
from tuneful.core.execution import Execution
from tuneful.core.task import Task
from tuneful.core.trial import Point
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.ranks import Ranks
from tuneful.pipeline.train import Run
from tuneful.techniques.models import with_callable


class Led(Run):
    """A run of rank 0, whose arguments are those of `Run`; the others follow."""

    def __init__(self, task: Task, recipe: Any, *, ranks: Ranks, **options: Any) -> None:
        ranks.told(["begin", recipe.as_data(), task.fingerprint])
        self._walking = False
        super().__init__(task, recipe, ranks=ranks, **options)

    def put(self, tensors: dict[str, Tensor], plain: dict[str, Any], what: str = "the state") -> None:
        """See `Run.put`."""
        if not self._walking:
            self.ranks.told(["put", plain])
            self.ranks.handed(tensors)
        super().put(tensors, plain, what)

    def walk(self, beat: float = 0.25) -> Iterator[Point | None]:
        """See `Run.walk`."""
        self.ranks.told(["walk", self.execution.as_data()])
        self._walking = True
        try:
            yield from super().walk(beat)
        finally:
            self._walking = False

    def look(self, told: Any = None) -> Point:
        """See `Run.look`."""
        if not self._walking:
            self.ranks.told(["look"])
        return super().look(told)

    def candidate(self) -> Candidate:
        """See `Run.candidate`; where weights are parted, all ranks put them together."""
        if self.ranks.shard and not self._walking:
            self.ranks.told(["gather"])
        return super().candidate()

    def save(self, path: Path, *, durable: bool = True) -> None:
        """See `Run.save`."""
        if not self._walking:
            self.ranks.told(["save"])
        super().save(path, durable=durable)


def dismissed(ranks: Ranks) -> None:
    """Tell the other ranks that there is nothing more to train."""
    if ranks.world > 1:
        ranks.told(["end"])


def follow(task: Task, ranks: Ranks, *, model: Any = None, halt: Halt | None = None) -> Run | None:
    """Do what rank 0 does, until it has trained all; the last run, or None where there was none. model: the user's own network, when
    it is not in a file. Raises RankError when another rank has ended."""
    run: Run | None = None
    while (said := ranks.told())[0] != "end":
        word, *rest = said
        if word == "begin":
            if task.fingerprint != rest[1]:
                raise DataError(f"rank {ranks.rank} has read other data than rank 0", "give every process the same files")
            recipe = from_data(rest[0])
            if model is not None:
                recipe = recipe.replace(model=with_callable(recipe.model, model))
            # Whether it stops is rank 0's to say, and its signals are this rank's too.
            run = Run(task, recipe, halt=halt, ranks=ranks, save_to=Path())
        elif run is None:
            raise RuntimeError(f"rank 0 said {word} before there was a run")
        elif word == "put":
            run.put(ranks.handed(), rest[0])
        elif word == "walk":
            if (how := Execution.from_data(rest[0])) != run.execution:
                run.use(how)
            for _ in run.walk():
                pass
        elif word == "look":
            run.look()
        elif word == "gather":
            run.kept.load_(run.step, run.steps)
        elif word == "save":
            run.save(Path())
    return run


__all__ = ["Led", "dismissed", "follow"]
