"""One peer: its packages, the command of its workers, and how long its retries may take."""

from __future__ import annotations

from dataclasses import dataclass

ADAPTERS = "bench.peers.adapters"

#: Calls that one installation works on at the same time: all keys of a fault, each asked for twice.
SLOTS = 8


@dataclass(frozen=True)
class Peer:
    """One peer; `worker` is the command line after `python -m`, in which `{module}` and `{slots}` are replaced."""

    title: str
    adapter: str
    packages: tuple[str, ...]  #: what it is made of, as requirements.txt names them; none is the product itself
    worker: str
    note: str  #: how it is configured, in a few words, for the table's legend
    refuses: tuple[str, ...] = ()  #: the errors with which it documents that it refuses a duplicate

    @property
    def module(self) -> str:
        return f"{ADAPTERS}.{self.adapter}"

    @property
    def command(self) -> list[str]:
        return self.worker.format(module=self.module, slots=SLOTS).split()
