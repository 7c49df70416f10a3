"""The gate: decides whether and how a call may run. Authors of agents import everything they need from here."""

from gatekeeper.errors import GatekeeperError, NotApplied, OutcomeUnknown, PolicyError, Refused
from gatekeeper.policies.policy import Breaker, Budget, Cap, Effect, Rate, Rung
from gatekeeper.run.checkpoints import keep, recall
from gatekeeper.run.effect import effect, made_by
from gatekeeper.run.memory import memory
from gatekeeper.run.tokens import spend
from gatekeeper.task import task

__all__ = [
    "Breaker",
    "Budget",
    "Cap",
    "Effect",
    "GatekeeperError",
    "NotApplied",
    "OutcomeUnknown",
    "PolicyError",
    "Rate",
    "Refused",
    "Rung",
    "effect",
    "keep",
    "made_by",
    "memory",
    "recall",
    "spend",
    "task",
]
