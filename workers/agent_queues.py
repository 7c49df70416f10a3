"""AGENT_QUEUES: the queue of each agent's calls, and so the workers, and the hosts, that run them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import settings
from gatekeeper.errors import UnsupportedOption
from state.model import Call
from state.options import from_json
from workers import options


def route(call: Call, default_queue: str) -> Call:
    """Return the call with the queue of its agent, or the call itself if it names a queue or its agent has none.

    The register keeps the queue with the call, so that every message of the call goes there, from any process.

    Args:
        call: The call.
        default_queue: The name of the queue that a call goes to without any of this.

    """
    queue = settings.current().agent_queues.get(call.agent, default_queue)
    if queue == default_queue:
        return call
    kept = from_json(call.options)
    if kept.queue:
        return call
    return replace(call, options=replace(kept, queue=queue).as_json())


def check(agents: Collection[str]) -> None:
    """Raise SettingsError for an agent that does not exist, and for a name that no queue can have."""
    for agent, queue in settings.current().agent_queues.items():
        if agent not in agents:
            raise settings.SettingsError(
                f"AGENT_QUEUES names {agent!r}, which is not an agent; there are: {', '.join(agents)}"
            )
        try:
            options.queue_name(queue)
        except UnsupportedOption as error:
            raise settings.SettingsError(f"AGENT_QUEUES: {error}") from None
