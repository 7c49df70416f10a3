"""A person pauses an agent, or lets it run again: in Redis with the decision, which the journal has a moment later."""

from __future__ import annotations

from state.agents import pause
from state.agents.audit import Said
from state.ledger.audit import Audit, by_this_process


class Pauses(Audit):
    """The pauses of agents. A full disk does not keep a person from stopping one."""

    def pause(self, agent: str, said: Said) -> bool:
        """Stop the agent's calls from starting; False if it was paused already, and the first reason stays."""
        said = by_this_process(said)
        is_new = pause.pause(agent, said.by, said.why, said)
        self.write_decisions(agent, said.id)
        return is_new

    def resume(self, agent: str, said: Said) -> bool:
        """Lift a pause, and reset the caps that caused it; False if the agent was not paused."""
        said = by_this_process(said)
        was_paused = pause.resume(agent, said)
        self.write_decisions(agent, said.id)
        return was_paused
