"""One contestant: what is installed for it, how its workers start, and how long it may take to try again."""

from __future__ import annotations

from dataclasses import dataclass

ADAPTERS = "bench.peers.adapters"

#: Calls that one installation works on at the same time: all keys of a fault, each asked for twice.
SLOTS = 8


@dataclass(frozen=True)
class Peer:
    """`worker` is the command line behind `python -m`; `{module}` and `{slots}` are filled in."""

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
