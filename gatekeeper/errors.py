"""Every error the gatekeeper raises. Each message says what happened, to which key or task, and what to do next."""

from __future__ import annotations


class GatekeeperError(Exception):
    """The root of them all."""


class PolicyError(GatekeeperError):
    """Raised at import when a task's policy makes no sense."""


class UnknownPolicy(PolicyError, TypeError):
    """Raised at import when the decorator is given what it does not take."""


class InvalidArguments(GatekeeperError, TypeError):
    """Raised at a door when arguments do not fit the task's signature."""


class Refused(GatekeeperError):
    """Raise it in a task, before the line, when the call cannot be done and trying again would not help.

    The call is refused with this message; it is no failure of the service behind the task, so no breaker counts it.
    """


class UnsupportedOption(InvalidArguments):
    """Raised at a door when a call is made with an option that cannot be kept with it."""


class UnknownTask(InvalidArguments):
    """Raised at a door when no agent has the task."""


class IdInUse(InvalidArguments):
    """Raised at a door when the id that the caller chose belongs to another call; nothing was started."""


class InvalidOutput(GatekeeperError):
    """Raised inside the gate when what a task returned does not fit its annotation."""


class NotApplied(GatekeeperError):
    """Raise it inside the line when it is proven that the effect did not happen; the key is freed.

    `temporary` says whether the same may go well later by itself: True lets the call wait and be tried again until its
    `max_age` has passed, False rejects it at once, None leaves it to what the error was raised from, or else to the
    task's `attempts`. `retry_after` is how many seconds to wait, and implies that it is temporary. `change` names what a
    person has to change first, such as a setting.
    """

    def __init__(
        self, *words: object, temporary: bool | None = None, retry_after: float | None = None, change: str = ""
    ) -> None:
        super().__init__(*words)
        self.temporary = True if temporary is None and retry_after is not None else temporary
        self.retry_after, self.change = retry_after, change


class OutcomeUnknown(GatekeeperError):
    """Raised when the line was passed and no trustworthy answer came back; the key stays taken."""


class AgentPaused(Refused):
    """Raised at the line when the agent was paused in the meantime; nothing was sent."""


class EffectsClosed(Refused):
    """Raised at the line when an effect could not be remembered for certain; nothing was sent, and the call waits."""


class LeaseExpired(GatekeeperError):
    """Raised in place of a request that a process wanted to send after its lease had ended; nothing was sent."""


class ClaimLost(GatekeeperError):
    """Raised when an attempt's claim, that of the agent's `key`, passed to somebody else while it ran."""

    def __init__(self, agent: str, key: str, what: str) -> None:
        super().__init__(f"{key}: the claim was lost {what}")
        self.agent, self.key = agent, key


class TaskAborted(GatekeeperError):
    """Raised in place of what no worker survives, such as `sys.exit()` in a task, or what Celery takes for a command."""


class LedgerUnavailable(GatekeeperError):
    """Raised when Redis does not answer before a call is admitted; nothing ran."""


class EffectError(GatekeeperError):
    """Raised when `gatekeeper.effect` is used where it cannot protect: twice, undeclared, or with what cannot be frozen."""


class RungTooLow(Refused):
    """Raised at the line when the answer was made by a lower rung than the effect accepts; nothing was sent."""


class RedactedError(GatekeeperError):
    """Raised to Celery, which stores and shows what it gets, in place of an error whose text carries a secret."""


class NotRevoked(GatekeeperError):
    """Raised to whoever revokes a call that has begun: it is not stopped, and its effect may be out."""


class UnstorableError(GatekeeperError):
    """Raised to Celery in place of an error that it can neither store nor show, such as one whose text raises."""


class NoRunningTask(GatekeeperError):
    """Raised when something is asked of the running task and no task is running."""
