"""The processes that train one model together: rank 0 leads, decides and writes; the others do the same steps on rows of their own.

    ranks = join()                        # in a process that torchrun started; ALONE in any other
    mine = ranks.part(len(batch))         # the rows of a batch that are this rank's
    ranks.sum_(loss)                      # over all ranks, in place
    word = ranks.told(word)               # what rank 0 says, on every rank

A batch is cut into pieces in the order of its rows, as equal as they can be. Sums come out the same to the last bit on every rank,
so what follows from sums alone is decided alike; what follows from a clock, a signal or a disk is rank 0's to say.

`torch.distributed` is imported by `join` alone, and only where there are several processes.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor

from tuneful.core.errors import RankError

LONG = datetime.timedelta(
    hours=12
)  # that a rank waits for another: reading and proving take their time, and a dead one is noticed
SAID = "tuneful/said"  # in the store of the group: why a rank ended, where it could say so


class Ranks:
    """rank: of this process, of `world`; device: where it computes; shard: does each keep a share of the weights, or all of them?"""

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | None = None, shard: bool = False) -> None:
        self.rank, self.world, self.shard = rank, world, shard and world > 1
        self.device = device or torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Is this the process that decides and writes?"""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """The rows of this rank among n."""
        each, more = divmod(n, self.world)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def sum_(self, *found: Tensor) -> None:
        """Sum each tensor over all ranks, in place. Raises RankError when another has ended."""
        if self.world > 1:
            import torch.distributed as dist

            with losing(self):
                for one in found:
                    dist.all_reduce(one)

    def told(self, value: Any = None) -> Any:
        """Plain data that rank 0 has, on every rank. Raises RankError when another has ended."""
        if self.world == 1:
            return value
        text = json.dumps(value).encode() if self.leads else b""
        size = self._from_first(torch.tensor([len(text)]))
        data = (
            torch.frombuffer(bytearray(text), dtype=torch.uint8) if self.leads else torch.empty(int(size), dtype=torch.uint8)
        )
        return json.loads(self._from_first(data).numpy().tobytes())

    def handed(self, tensors: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Tensors that rank 0 has, by name, on the CPU of every rank."""
        if self.world == 1:
            return dict(tensors or {})
        given = {name: one.detach().cpu().contiguous() for name, one in (tensors or {}).items()}
        about = self.told([[name, str(one.dtype).removeprefix("torch."), list(one.shape)] for name, one in given.items()])
        return {
            name: self._from_first(given[name] if self.leads else torch.empty(shape, dtype=getattr(torch, kind)))
            for name, kind, shape in about
        }

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """A few numbers that rank 0 has, on every rank, by a single message."""
        return tuple(self._from_first(torch.tensor(numbers, dtype=torch.float64)).tolist())

    def _from_first(self, found: Tensor) -> Tensor:
        import torch.distributed as dist

        with losing(self):
            dist.broadcast(found, 0)
        return found

    def say(self, what: str, number: int) -> None:
        """Leave a number for the others, who may hear it after this rank has ended."""
        if self.world > 1:
            with contextlib.suppress(Exception):  # whoever kept the store may have ended first
                _store().set(f"{SAID}/{what}", str(number))

    def heard(self, what: str) -> int:
        """The number that some rank has left under this name; 0 where none has."""
        with contextlib.suppress(Exception):
            if self.world > 1 and _store().check([f"{SAID}/{what}"]):
                return int(_store().get(f"{SAID}/{what}").decode())
        return 0

    def leave(self, why: str = "") -> None:
        """Take part no more. why: what the others are to know, where something went wrong."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if why:
            with contextlib.suppress(Exception):  # whoever kept the store may have ended first
                _store().set(f"{SAID}/{self.rank}", why)
        if dist.is_initialized():
            dist.destroy_process_group()


ALONE = Ranks()
"""A process by itself."""


def join(device: str | None = None, *, shard: bool = False) -> Ranks:
    """The group of this process: that of torchrun, by its environment; ALONE outside of it.

    device: "cpu" for gloo though there are GPUs; else each rank has the GPU of its number on this machine, by nccl, where there is one.
    shard: see `Ranks`.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if world == 1 or "MASTER_ADDR" not in os.environ:
        return ALONE
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    local = int(os.environ.get("LOCAL_RANK", rank))
    on_gpu = device != "cpu" and torch.cuda.is_available()
    where = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu and local >= torch.cuda.device_count():
        raise RankError(
            f"rank {rank} is number {local} on this machine, which has {torch.cuda.device_count()} GPUs",
            "start one process a GPU",
        )
    if not dist.is_initialized():
        if on_gpu:
            torch.cuda.set_device(where)
        # What is said on the CPU goes by gloo, so that no decision waits for a GPU.
        # An agent may keep one store over restarts, in which the addresses of the dead would be found: each attempt has names of its own.
        try:
            store, _, _ = next(rendezvous("env://", timeout=LONG))
            store = PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
            kind = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
            dist.init_process_group(kind, store=store, rank=rank, world_size=world, timeout=LONG)
        except (RuntimeError, ValueError) as error:
            raise RankError(
                f"rank {rank} does not find the other {world - 1} at {os.environ['MASTER_ADDR']} ({str(error).splitlines()[0]})",
                "one of them has ended, or cannot be reached from here; see what it said",
            ) from error
    return Ranks(rank, world, where, shard)


def in_group() -> bool:
    """Did torchrun start this process, beside others?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


def lost(error: BaseException) -> bool:
    """Does an error say that another process of the group is not there any more?"""
    import torch.distributed as dist

    text = str(error)
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo/transport", "Connection refused")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)


@contextlib.contextmanager
def losing(ranks: Ranks) -> Generator[None]:
    """Inside, the end of another process is raised as a RankError that says so."""
    try:
        yield
    except RuntimeError as error:
        if ranks.world == 1 or not lost(error):
            raise
        raise gone(ranks) from error


def gone(ranks: Ranks) -> RankError:
    """Another rank has ended: which, and why, as far as it could say."""
    for other in range(ranks.world):
        with contextlib.suppress(Exception):  # the store may have gone with rank 0
            if other != ranks.rank and _store().check([f"{SAID}/{other}"]):
                return RankError(f"rank {other} of {ranks.world} ended: {_store().get(f'{SAID}/{other}').decode()}")
    return RankError(f"a process of the group of {ranks.world} has ended, so that rank {ranks.rank} cannot go on")


def _store() -> Any:
    from torch.distributed import distributed_c10d as c10d

    return c10d._get_default_store()  # pyright: ignore[reportPrivateUsage]


__all__ = ["ALONE", "Ranks", "gone", "in_group", "join", "losing", "lost"]
