"""Every error that the gatekeeper raises. Each message says what happened, to which key or task, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping


class GatekeeperError(Exception):
    """The base class of the errors below."""


class PolicyError(GatekeeperError, ValueError):
    """Raised at import when a task's policy makes no sense."""


class UnknownPolicy(PolicyError, TypeError):
    """Raised at import when the decorator gets an argument that it does not take."""


class InvalidArguments(GatekeeperError, TypeError):
    """Raised to the caller when arguments do not fit the task's signature.

    Args:
        words: The message, as for any exception.
        fields: What is wrong with each argument, by its name; inside of it, names are joined by dots.

    """

    def __init__(self, *words: object, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(*words)
        self.fields = dict(fields or {})


class Refused(GatekeeperError):
    """Raise it in a task, before the effect starts, when the call cannot be done and a retry would not help.

    The call is refused with this message. It does not count as a failure of the service behind the task, so a breaker
    ignores it.
    """


class UnsupportedOption(InvalidArguments):
    """Raised to the caller for an option that the ledger cannot keep with the call."""


class UnknownTask(InvalidArguments):
    """Raised to the caller when no agent has the task."""


class IdInUse(InvalidArguments):
    """Raised to the caller when the id that it chose belongs to another call; nothing was started."""


class InvalidOutput(GatekeeperError):
    """Raised inside the gate when a task's result does not fit its annotation."""


class NotApplied(GatekeeperError):
    """Raise it inside `gatekeeper.effect` when it is proven that the effect did not happen; the key is freed.

    Args:
        words: The message, as for any exception.
        temporary: True: the call waits and is tried again until its `max_age` has passed. False: it is rejected at
            once. None: the error that this one was raised from decides, or else the task's `attempts`.
        retry_after: Seconds to wait; implies that the failure is temporary.
        change: What a person has to change before a retry can succeed, such as a setting.

    """

    def __init__(
        self, *words: object, temporary: bool | None = None, retry_after: float | None = None, change: str = ""
    ) -> None:
        super().__init__(*words)
        self.temporary = True if temporary is None and retry_after is not None else temporary
        self.retry_after, self.change = retry_after, change


class OutcomeUnknown(GatekeeperError):
    """Raised when an effect was started and no trustworthy answer came back; the key stays taken."""


class AgentPaused(Refused):
    """Raised before an effect when the agent was paused in the meantime; nothing was sent."""


class EffectsClosed(Refused):
    """Raised before an effect that cannot be recorded durably; nothing was sent, and the call waits."""


class LeaseExpired(GatekeeperError):
    """Raised instead of a request that a process would send after its lease has ended; nothing was sent."""


class ClaimLost(GatekeeperError):
    """Raised when another attempt took over the claim of the agent's `key` while this attempt ran."""

    def __init__(self, agent: str, key: str, what: str) -> None:
        super().__init__(f"{key}: the claim was lost {what}")
        self.agent, self.key = agent, key


class TaskAborted(GatekeeperError):
    """Raised instead of an error that would end the worker, such as `sys.exit()`, or that Celery takes for a command."""


class LedgerUnavailable(GatekeeperError):
    """Raised when Redis does not answer before a call is admitted; nothing ran."""


class EffectError(GatekeeperError):
    """Raised when `gatekeeper.effect` cannot protect: used twice, not declared, or with a payload that JSON cannot hold."""


class OnlyObserved(Refused):
    """Raised before an effect of an agent that only observes; the story says what would have been sent."""


class ApprovalNeeded(Refused):
    """Raised before an effect about which a person is asked first; nothing was sent, and the key is held."""


class RungTooLow(Refused):
    """Raised before an effect whose answer was made by a lower rung than the effect accepts; nothing was sent."""


class RedactedError(GatekeeperError):
    """Raised to Celery, which stores and shows errors, instead of an error whose text contains a secret."""


class NotRevoked(GatekeeperError):
    """Raised to the caller of a revoke when the call has begun: it is not stopped, and its effect may be out."""


class UnstorableError(GatekeeperError):
    """Raised to Celery instead of an error that it cannot store or show, such as one whose `__str__` raises."""


class NoRunningTask(GatekeeperError):
    """Raised when a function that belongs to the running task is called outside a task."""
