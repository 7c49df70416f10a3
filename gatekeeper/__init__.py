"""Whether and how a call may run."""

from gatekeeper.errors import GatekeeperError, NotApplied, OutcomeUnknown, PolicyError, Refused
from gatekeeper.line import effect, made_by
from gatekeeper.memory import memory
from gatekeeper.points import keep, recall
from gatekeeper.policy import Breaker, Cap, Effect, Rate, Rung
from gatekeeper.task import task

__all__ = [
    "Breaker",
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
    "task",
]
