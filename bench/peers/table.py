"""The table: effects per key for each peer and fault, in Markdown, with what it was measured on."""

from __future__ import annotations

from collections.abc import Sequence

from bench.peers import machine
from bench.peers.faults import FAULTS
from bench.peers.peer import Peer

LEGEND = """\
Each figure is what the judge has counted for one key: how often its effect happened. One is right. More is the same post
again; 0 is a post that never went out."""


class Table:
    """Fill it with `put`, a cell's counts or why it was not run, and print it."""

    def __init__(self, peers: Sequence[Peer], versions: dict[str, str]) -> None:
        self._peers, self._versions = peers, versions
        self._cells: dict[tuple[str, str], str] = {}

    def put(self, peer: Peer, fault: str, found: str) -> None:
        self._cells[peer.title, fault] = found

    def __str__(self) -> str:
        return "\n".join([*self._rows(), "", LEGEND, "", *self._what(), "", *self._how(), "", machine.described()])

    def _rows(self) -> list[str]:
        shown = [fault for fault in FAULTS if any(title == fault.title for _, title in self._cells)]
        lines = ["| | " + " | ".join(fault.title for fault in shown) + " |", "|---" * (len(shown) + 1) + "|"]
        for peer in self._peers:
            cells = [self._cells.get((peer.title, fault.title), "") for fault in shown]
            lines.append(f"| {peer.title} | " + " | ".join(cells) + " |")
        return lines

    def _what(self) -> list[str]:
        return [f"- **{fault.title}**: {fault.what}." for fault in FAULTS]

    def _how(self) -> list[str]:
        lines = ["| configured | version | as its documentation advises |", "|---|---|---|"]
        return lines + [f"| {peer.title} | {peer.version(self._versions)} | {peer.note} |" for peer in self._peers]
