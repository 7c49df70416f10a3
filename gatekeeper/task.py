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
from gatekeeper.policies import mistakes
from gatekeeper.policies.durations import Duration
from gatekeeper.policies.policy import Breaker, Budget, Cap, Effect, Policies, Rate, several
from gatekeeper.policies.spec import DEFAULT_LEASE, MAX_AGE, TaskSpec, register
from gatekeeper.redact import describe, redacted
from gatekeeper.run import pipeline
from gatekeeper.run.answers import Answer, Duplicate
from gatekeeper.run.arrival import EXPIRES, MESSAGE, Arrival, NotThisCall
from state.ledger import Ledger

log = structlog.get_logger("gatehouse.gate")

#: Seconds before a message returns to its queue while Redis is away; without a pause it would come back at once.
REQUEUE_PAUSE = 1.0
#: Celery does not store these as failures: they tell it to ignore, requeue or retry the message, or that the process died.
#: Only the gate decides this, so an error of these types from a task's body becomes a TaskAborted.
CELERY_CONTROL_ERRORS = (TaskPredicate, Terminated, TimeLimitExceeded, WorkerLostError, MemoryError)


if TYPE_CHECKING:
    _Task = Task[..., Answer]
else:
    _Task = Task


class GateTask(_Task):
    """A Celery task that goes through the gate on every run, wherever its call came in."""

    abstract = True
    #: The gate checks arguments itself, with the same messages at every origin.
    typing = False
    spec: TaskSpec

    def __call__(self, /, *args: Any, **kwargs: Any) -> Answer:
        """Run the task in this process.

        Returns:
            The answer: the result, or the receipt of a refusal.

        Raises:
            Exception: the attempt failed; the task's own error if it is safe to store.
            LedgerUnavailable: Redis does not answer, and the task was called directly.

        """
        request = self.request
        direct = request.called_directly
        _drop_followers(request)
        try:
            if direct:
                return pipeline.run(self.spec, args, kwargs, call_id=str(uuid4()), origin=origin.current())
            arrival = Arrival.of_message(args, kwargs, request.get(EXPIRES))
            return pipeline.run(self.spec, args, kwargs, call_id=str(request.id), origin=MESSAGE, arrival=arrival)
        except (Duplicate, NotThisCall) as unwanted:
            raise Ignore(str(unwanted)) from None  # this message must not overwrite the result of the call
        except LedgerUnavailable as error:
            if direct:
                raise
            time.sleep(REQUEUE_PAUSE)
            raise Reject(str(error), requeue=True) from error
        except Exception as error:
            if direct:
                _pass_on_ctrl_c(error)
                raise
            storable = _storable(error)
            if storable is error:
                raise
            raise storable from None

    def retry(self, *_: Any, **__: Any) -> Any:
        """Raise UnsupportedOption: the gate retries by itself."""
        raise UnsupportedOption(
            f"{self.name}: retry() is not supported; raise an exception, and set attempts= and backoff="
        )

    def replace(self, *_: Any, **__: Any) -> Any:
        """Raise UnsupportedOption: a registered call cannot become another one."""
        raise UnsupportedOption(f"{self.name}: replace() is not supported; start the other call and return")

    def add_to_chord(self, *_: Any, **__: Any) -> Any:
        """Raise UnsupportedOption: chords are not supported."""
        raise UnsupportedOption(f"{self.name}: add_to_chord() is not supported; start the other call and return")

    def key_state(self, **arguments: Any) -> str | None:
        """Return the state of the key of these arguments (`done`, `unknown`, …), or None if it was never used."""
        return Ledger().key_state(self.spec.agent, self._key(arguments))

    def was_observed(self, **arguments: Any) -> bool:
        """Return whether the agent observes, and told already what it would send for these arguments."""
        return Ledger().was_observed(self.spec.agent, self._key(arguments))

    def _key(self, arguments: dict[str, Any]) -> str:
        return self.spec.key(self.spec.contract.bind((), arguments), "")


def _drop_followers(request: Any) -> None:
    """Stop Celery from starting the calls that follow this one: the ledger knows them, and starts them.

    Only `Task.apply` passes any; a worker removes them from a message before Celery reads it (workers/reading.py).
    """
    carried = [name for name in ("callbacks", "errbacks", "chain", "chord") if getattr(request, name, None)]
    for name in carried:
        setattr(request, name, None)
    if carried:
        log.warning("followers dropped", call=request.id, carried=carried, hint="make the call through app.send_task")


def task(  # noqa: PLR0913 - one argument per policy, all by name
    *misplaced: Any,
    key: str | None = None,
    rate: str | Rate | list[str | Rate] | None = None,
    cap: str | Cap | list[str | Cap] | None = None,
    budget: str | Budget | list[str | Budget] | None = None,
    breaker: Breaker | None = None,
    effect: Effect | None = None,
    lease: Duration = DEFAULT_LEASE,
    time_limit: Duration | None = None,
    attempts: int | None = None,
    backoff: Duration = "10s",
    max_age: Duration = MAX_AGE,
    **unknown: Any,
) -> Callable[[Callable[..., Any]], GateTask]:
    """Make a function a Celery task behind the gate.

    Args:
        misplaced: Positional arguments, which are refused: every policy has a name.
        key: A template over the arguments, such as `"publish:{post_id}"`; two calls with one key are the same intent.
        rate: How often the task runs, such as `"10/hour"`.
        cap: How many effects may happen, such as `"30/day"`; its calls are paused when it is reached.
        budget: How many tokens models may charge, such as `"200000 tokens/day"`; its calls wait or are refused beyond that.
        breaker: When to stop calling a failing service.
        effect: Declares that the task changes the world outside.
        lease: How long a claim is valid without a heartbeat.
        time_limit: How long an attempt may take; the lease if it is None.
        attempts: How many times a failed call is tried; 3 if it is None, or 1 for an effect.
        backoff: The pause after the first failure; it doubles with each attempt.
        max_age: An older call is refused.
        unknown: Other options, such as those of Celery's decorator, which are refused with what to write instead.

    Raises:
        PolicyError: at import, a policy makes no sense or is not known.

    """
    mistakes.check_options(misplaced, unknown, POLICIES)

    def decorate(body: Callable[..., Any]) -> GateTask:
        mistakes.check_body(body)
        policies = Policies(
            key,
            several(Rate, rate),
            several(Cap, cap),
            breaker,
            effect,
            lease,
            time_limit,
            attempts,
            backoff,
            max_age,
            several(Budget, budget),
        )
        spec = TaskSpec(body, policies)
        register(spec)
        make: Any = shared_task
        return cast("GateTask", make(base=GateTask, name=spec.name, spec=spec, **spec.time_limits)(body))

    return decorate


#: The names of the policies.
POLICIES = tuple(task.__kwdefaults__ or ())


def _storable(error: Exception) -> Exception:
    """Return the error, or a replacement if Celery would not store it as a failure."""
    if isinstance(error, CELERY_CONTROL_ERRORS):
        return TaskAborted(describe(error))
    return redacted(error)


def _pass_on_ctrl_c(error: Exception) -> None:
    """Raise the KeyboardInterrupt that ended a direct call: it ends the caller too, now that the attempt has settled."""
    if isinstance(error, TaskAborted) and isinstance(error.__cause__, KeyboardInterrupt):
        raise error.__cause__
