"""One peer: its packages, the command of its workers, and how it is configured."""

from __future__ import annotations

from dataclasses import dataclass

ADAPTERS = "bench.peers.adapters"

#: Calls that one installation works on at the same time: all keys of a fault, each asked for twice.
SLOTS = 8

#: Packages that a legend leaves out.
UNSHOWN = ("packaging", "hiredis")


@dataclass(frozen=True)
class Configured:
    """A peer as one bench configures it; `worker` is the command line after `python -m`, with fields in braces."""

    title: str
    adapter: str
    packages: tuple[str, ...]  #: what it is made of, as requirements.txt names them; none is the product itself
    worker: str
    note: str  #: how it is configured, in a few words, for the table's legend

    @property
    def module(self) -> str:
        return f"{ADAPTERS}.{self.adapter}"

    def version(self, installed: dict[str, str]) -> str:
        """Return the versions of its packages, for the table's legend."""
        shown = [name for name in self.packages if name in installed and name not in UNSHOWN]
        return ", ".join(f"{name} {installed[name]}" for name in shown) or "this checkout"


@dataclass(frozen=True)
class Peer(Configured):
    """A peer of the bench of faults; `{module}` and `{slots}` are replaced in its command."""

    refuses: tuple[str, ...] = ()  #: the errors with which it documents that it refuses a duplicate

    @property
    def command(self) -> list[str]:
        return self.worker.format(module=self.module, slots=SLOTS).split()
