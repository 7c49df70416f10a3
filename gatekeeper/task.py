"""The decorator: `@gatekeeper.task(...)` makes a function a Celery task behind the gate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import structlog
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import Task, shared_task
from celery.exceptions import Ignore, Reject, TaskPredicate

from gatekeeper import origin
from gatekeeper.errors import LedgerUnavailable, TaskAborted, UnsupportedOption
from gatekeeper.policies import mistakes, policy
from gatekeeper.policies.durations import Duration
from gatekeeper.policies.policy import Breaker, Cap, Effect, Rate
from gatekeeper.policies.spec import DEFAULT_LEASE, MAX_AGE, Policies, TaskSpec, register
from gatekeeper.redact import describe, redacted
from gatekeeper.run import pipeline
from gatekeeper.run.arrival import EXPIRES, MESSAGE, Arrival, NotThisCall
from gatekeeper.run.responses import Answer
from state.ledger import Ledger

log = structlog.get_logger("gatehouse.gate")

#: Seconds before a message goes back to its queue because the ledger is away; without it the two would only circle.
REQUEUE_PAUSE = 1.0
#: Celery does not store these as failures: it takes them for commands (to ignore the message, to take it back, to retry),
#: or for the death of the process. The gate alone decides about that; from a task's body they are errors like others.
CELERY_CONTROL_ERRORS = (TaskPredicate, Terminated, TimeLimitExceeded, WorkerLostError, MemoryError)


if TYPE_CHECKING:
    _Task = Task[..., Answer]
else:
    _Task = Task


class GateTask(_Task):
    """A Celery task whose every run, whatever the door, goes through its gate."""

    abstract = True
    #: The gate checks arguments itself, at every door and with the same words.
    typing = False
    gate: TaskSpec

    def __call__(self, /, *args: Any, **kwargs: Any) -> Answer:
        """Run here and now; returns the answer, raises if the attempt failed."""
        request = self.request
        direct = request.called_directly
        _drop_followers(request)
        try:
            if direct:
                return pipeline.run(self.gate, args, kwargs, call_id=str(uuid4()), door=origin.current())
            came = Arrival.of_message(args, kwargs, request.get(EXPIRES))
            return pipeline.run(self.gate, args, kwargs, call_id=str(request.id), door=MESSAGE, came=came)
        except (pipeline.Duplicate, NotThisCall) as unwanted:
            raise Ignore(str(unwanted)) from None  # no result: that of the call is not this message's
        except LedgerUnavailable as error:
            if direct:
                raise
            time.sleep(REQUEUE_PAUSE)
            raise Reject(str(error), requeue=True) from error
        except Exception as error:
            if direct:
                _pass_on_ctrl_c(error)
                raise
            shown = _storable(error)
            if shown is error:
                raise
            raise shown from None

    def retry(self, *_: Any, **__: Any) -> Any:
        """Refuse: the gate tries again by itself."""
        raise UnsupportedOption(
            f"{self.name}: retry() is not supported; raise an exception, and say attempts= and backoff="
        )

    def replace(self, *_: Any, **__: Any) -> Any:
        """Refuse: a call stays the call that was registered."""
        raise UnsupportedOption(f"{self.name}: replace() is not supported; start the other call and return")

    def add_to_chord(self, *_: Any, **__: Any) -> Any:
        """Refuse: there are no chords."""
        raise UnsupportedOption(f"{self.name}: add_to_chord() is not supported; start the other call and return")

    def standing(self, **arguments: Any) -> str | None:
        """Where the key of these arguments stands (`done`, `unknown`, …), or None if it was never asked for."""
        key = self.gate.key(self.gate.contract.bind((), arguments), "")
        return Ledger().key_state(self.gate.agent, key)


def _drop_followers(request: Any) -> None:
    """Let Celery start nothing when this run is over: the register knows what follows a call, and starts it at its end.

    Only `Task.apply` brings any: a worker takes them out of a message before Celery reads it (workers/reading.py).
    """
    carried = [name for name in ("callbacks", "errbacks", "chain", "chord") if getattr(request, name, None)]
    for name in carried:
        setattr(request, name, None)
    if carried:
        log.warning("followers dropped", call=request.id, carried=carried, next="make the call through app.send_task")


def task(  # noqa: PLR0913 - one argument per policy, all by name
    *misplaced: Any,
    key: str | None = None,
    rate: str | Rate | list[str | Rate] | None = None,
    cap: str | Cap | list[str | Cap] | None = None,
    breaker: Breaker | None = None,
    effect: Effect | None = None,
    lease: Duration = DEFAULT_LEASE,
    time_limit: Duration | None = None,
    attempts: int | None = None,
    backoff: Duration = "10s",
    max_age: Duration = MAX_AGE,
    **unknown: Any,
) -> Callable[[Callable[..., Any]], GateTask]:
    """Put a function behind the gate.

    `key`: template over the arguments, what makes two calls the same intent. `rate`: how often it may run.
    `cap`: how many effects may happen; reaching it pauses the agent. `breaker`: when to stop asking a failing service.
    `effect`: it changes the world outside. `lease`: how long a claim lives without a heartbeat. `time_limit`: how long
    an attempt may take (default: the lease). `attempts`: how often a failed call is tried (default 3, for effects 1),
    with `backoff` doubling between them. `max_age`: a call older than this is refused.

    Raises PolicyError, at import, for policies that make no sense, and for what Celery's decorator takes and this does not.
    """
    mistakes.check_options(misplaced, unknown, POLICIES)

    def decorate(body: Callable[..., Any]) -> GateTask:
        mistakes.check_body(body)
        policies = Policies(
            key, policy.rates(rate), policy.caps(cap), breaker, effect, lease, time_limit, attempts, backoff, max_age
        )
        gate = TaskSpec(body, policies)
        register(gate)
        make: Any = shared_task
        return cast("GateTask", make(base=GateTask, name=gate.name, gate=gate, **time_limits(gate))(body))

    return decorate


#: What the decorator takes.
POLICIES = tuple(task.__kwdefaults__ or ())


def _storable(error: Exception) -> Exception:
    """The error, or what stands for it where Celery would do something else than store it."""
    if isinstance(error, CELERY_CONTROL_ERRORS):
        return TaskAborted(describe(error))
    return redacted(error)


def _pass_on_ctrl_c(error: Exception) -> None:
    """Whoever called the task directly, and pressed Ctrl-C, wants more than the task to end; it is settled by now."""
    if isinstance(error, TaskAborted) and isinstance(error.__cause__, KeyboardInterrupt):
        raise error.__cause__


def time_limits(gate: TaskSpec) -> dict[str, float]:
    """Celery's own limits, for pools that can end a task: the soft one first, so that the attempt still settles."""
    return {"soft_time_limit": gate.limit_ms / 1000, "time_limit": gate.limit_ms / 1000 + 5}
