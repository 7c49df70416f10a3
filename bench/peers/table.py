"""The table: effects per key for each peer and fault, in Markdown, with what it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date

from bench.peers.faults import FAULTS
from bench.peers.peer import Peer

LEGEND = """\
Each figure is what the judge has counted for one key: how often its effect happened. One is right. More is the same post
again; 0 is a post that never went out."""


class Table:
    """Fill it with `put`, a cell's counts or why it was not run, and print it."""

    def __init__(self, peers: Sequence[Peer], versions: Mapping[str, str], server: str) -> None:
        self._peers, self._versions, self._server = peers, versions, server
        self._cells: dict[tuple[str, str], str] = {}

    def put(self, peer: Peer, fault: str, found: str) -> None:
        self._cells[peer.title, fault] = found

    def __str__(self) -> str:
        return "\n".join([*self._rows(), "", LEGEND, "", *self._what(), "", *self._how(), "", self._where()])

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
        return lines + [f"| {peer.title} | {self._version(peer)} | {peer.note} |" for peer in self._peers]

    def _version(self, peer: Peer) -> str:
        named = [f"{name} {self._versions[name]}" for name in peer.packages if name in self._versions]
        return ", ".join(part for part in named if not part.startswith("packaging")) or "this checkout"

    def _where(self) -> str:
        machine = (
            f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        )
        return f"Measured on {date.today().isoformat()}: {machine}, {self._server}."  # noqa: DTZ011 - a reader's date
