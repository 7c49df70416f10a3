"""The condition of each host: its last sign of life, its versions, its clock, its processes and what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from state import hints, host
from state.formatting import iso
from state.ledger import Ledger
from state.ledger.host_claims import CLAIMED, HostClaim
from state.processes import hosts
from state.processes.hosts import Host
from state.processes.liveness import REPORTED_MS
from workers.people import all_agents

#: ms between a host's clock and that of Redis that do no harm: leases are minutes.
MAX_SKEW_MS = 1000


@dataclass(frozen=True)
class HostReading:
    """One host with what it holds."""

    host: Host
    is_here: bool  #: this process runs there
    claims: int  #: keys that its attempts hold now
    doubts: int  #: keys that they left in doubt

    @property
    def is_missed(self) -> bool:
        """True if it is silent elsewhere, and that is news or in the way of a key."""
        is_news = self.host.silent_ms is not None and self.host.silent_ms < REPORTED_MS
        return self.host.state == "silent" and not self.is_here and (is_news or self.claims + self.doubts > 0)

    @property
    def may_be_gone(self) -> bool:
        """True if a person may say that it is gone: it gives no sign, and it is not this host."""
        return not self.is_here and self.host.state in {"silent", "stopped"}

    @property
    def processes(self) -> str:
        """Its processes in words, such as "2 workers, beat, web"."""
        counts = Counter(each.kind for each in self.host.processes)
        found = [kind if number == 1 else f"{number} {kind}s" for kind, number in sorted(counts.items(), reverse=True)]
        return ", ".join([*found, *(["web"] if self.host.web_runs else [])])

    @property
    def clock(self) -> str:
        """By how much its clock is ahead of that of Redis; "" if that is not known."""
        return "" if self.host.clock_ms is None else f"{self.host.clock_ms / 1000:+.2f} s"

    @property
    def holds(self) -> str:
        """The number of keys that it holds and left in doubt, in words; "" for none."""
        doubts = f"{self.doubts} in doubt" if self.doubts else ""
        return ", ".join(filter(None, [keys_in_words(self.claims) if self.claims else "", doubts]))

    @property
    def decision(self) -> str:
        """The decision that it is gone, and that it is back since, in words; "" if there is none."""
        gone = self.host.gone
        if gone is None:
            return ""
        back = "; it is back" if self.host.is_back else ""
        return f"gone, {gone.by} said at {iso(gone.at_ms, 'seconds')}: {gone.why}{back}"

    def in_json(self) -> dict[str, Any]:
        """Return it as `gate hosts --json` prints it."""
        each, gone = self.host, self.host.gone
        return {
            "host": each.name,
            "state": each.state,
            "here": self.is_here,
            "seen": iso(each.seen_ms),
            "silent": None if each.silent_ms is None else each.silent_ms / 1000,
            "versions": list(each.versions),
            "clock": None if each.clock_ms is None else each.clock_ms / 1000,
            "boot": each.boot or None,
            "processes": dict(Counter(p.kind for p in each.processes)) | ({"web": 1} if each.web_runs else {}),
            "agents": list(each.agents),
            "claims": self.claims,
            "doubts": self.doubts,
            "gone": gone and {"at": iso(gone.at_ms), "by": gone.by, "why": gone.why, "back": each.is_back},
        }


def read() -> list[HostReading]:
    """Return the condition of each host, this one first. Raises StoreError."""
    claims = [each for each in Ledger().host_claims(all_agents()) if each.host]
    here = host.mark()
    return [_reading(each, claims, here) for each in hosts.read({each.host for each in claims})]


def problems(known: Sequence[HostReading]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the hosts, each with what to change. A silent one that holds nothing is told for a day."""
    alive = [each.host for each in known if each.host.state == "alive"]
    for each in (reading.host for reading in known if reading.is_missed):
        last = "for a week" if each.seen_ms is None else f"since {iso(each.seen_ms, 'seconds')}"
        gone = hints.gatehouse("host-gone", each.name, "--why", "…")
        yield f"{each.name}: silent {last}", f"start it again; if it never comes back: {gone}"
    for each in alive:
        if each.clock_ms is not None and abs(each.clock_ms) > MAX_SKEW_MS:
            found = f"{each.name}: its clock is {each.clock_ms / 1000:+.2f} s against Redis"
            yield found, "run a time service (chrony) there and on the machine of Redis"
    versions = {version for each in alive for version in each.versions}
    if len(versions) > 1:
        found = "; ".join(f"{each.name} runs {' and '.join(each.versions)}" for each in alive)
        yield f"versions differ: {found}", "end the upgrade: install one version on every host, and restart there"


def keys_in_words(count: int) -> str:
    """Return a number of keys in words."""
    return "1 key" if count == 1 else f"{count} keys"


def _reading(each: Host, claims: Sequence[HostClaim], here: str) -> HostReading:
    own = [claim for claim in claims if host.mark_of(claim.host) == each.mark]
    held = sum(claim.state in CLAIMED for claim in own)
    return HostReading(each, each.mark == here, held, len(own) - held)
