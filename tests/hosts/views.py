"""What each host shows of all: every agent in `gatehouse status`, state files that say who wrote them, and every host."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.harness import GaveUp, until
from tests.hosts.fleet import Fleet
from tests.hosts.host import Host


def problems(fleet: Fleet) -> list[str]:
    """Return what is not as it should be, on any host that runs."""
    return [problem for host in fleet.hosts for problem in _of(fleet, host)]


def _of(fleet: Fleet, host: Host) -> Iterator[str]:
    agents = {each["agent"] for each in fleet.producer.gate("status")}
    shown = {each["agent"] for each in host.ask_gate("status")}
    if shown != agents:
        yield f"gatehouse status on {host.name} shows {sorted(shown)}, and there are {sorted(agents)}"
    hosts = {each["host"].partition(".")[0] for each in host.ask_gate("hosts")}
    if not {each.name for each in fleet.hosts} <= hosts:
        yield f"gatehouse hosts on {host.name} shows {sorted(hosts)}"
    for agent in ("torturer", "lodger"):
        try:
            until(lambda agent=agent: _is_current(fleet, host, agent), 30)  # type: ignore[misc]
        except GaveUp:
            yield f"the state file of {agent} on {host.name} is behind, or was written elsewhere"
    told = {str(row[0]) for row in fleet.database.sql("SELECT DISTINCT host FROM gatehouse_journal")}
    if not any(each.startswith(f"{host.name}.") for each in told):
        yield f"no record in the journal says that {host.name} wrote it: {sorted(told)}"


def _is_current(fleet: Fleet, host: Host, agent: str) -> bool:
    """Return whether a host's state file is of now, and says that this host wrote it."""
    file = json.loads((host.state_dir / "agents" / f"{agent}.json").read_text())
    [head] = fleet.producer.gate("status", agent)
    return bool(file["revision"] == head["revision"] and file["written_by"].startswith(f"{host.name}."))
