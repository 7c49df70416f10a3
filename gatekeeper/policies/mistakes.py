"""Wrong options of the decorator, such as Celery's own, and what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from gatekeeper.errors import PolicyError, UnknownPolicy

_ATTEMPTS = "write attempts=, with backoff="
_GATE = "remove it: the gate handles this"
_ANNOTATIONS = "remove it: the annotations say what arguments and result must be"
_AT_THE_CALL = "give it to apply_async: it belongs to one call"
_NAME = "remove it: a task takes its name from its module and function"

#: Options of the decorators of Celery and other libraries, and what to write here.
ALTERNATIVES: Mapping[str, str] = {
    "bind": "remove it, and 'self': the arguments name the call, gatekeeper.memory() remembers",
    "name": _NAME,
    "base": _GATE,
    "shared": _GATE,
    "max_retries": _ATTEMPTS,
    "retries": _ATTEMPTS,
    "retry": _ATTEMPTS,
    "autoretry_for": _ATTEMPTS,
    "dont_autoretry_for": "raise gatekeeper.Refused for what is not to be tried again",
    "throws": "raise gatekeeper.Refused for what is not a failure",
    "retry_kwargs": _ATTEMPTS,
    "retry_backoff": "write backoff=",
    "retry_backoff_max": "write backoff=",
    "retry_jitter": "write backoff=: a jitter is part of it",
    "default_retry_delay": "write backoff=",
    "rate_limit": "write rate=, which holds for all workers together",
    "soft_time_limit": "write time_limit=",
    "timeout": "write time_limit=",
    "expires": "write max_age=",
    "ttl": "write max_age=",
    "idempotency_key": "write key=",
    "verify": "write effect=Effect(verify=…)",
    "undo": "write effect=Effect(undo=…)",
    "acks_late": _GATE,
    "acks_on_failure": _GATE,
    "acks_on_timeout": _GATE,
    "acks_on_failure_or_timeout": _GATE,
    "reject_on_worker_lost": _GATE,
    "track_started": _GATE,
    "store_errors_even_if_ignored": _GATE,
    "send_events": _GATE,
    "serializer": "remove it: messages are JSON",
    "compression": "remove it: messages are small and stay readable",
    "typing": _ANNOTATIONS,
    "pydantic": _ANNOTATIONS,
    "pydantic_strict": _ANNOTATIONS,
    "pydantic_context": _ANNOTATIONS,
    "ignore_result": _AT_THE_CALL,
    "queue": _AT_THE_CALL,
    "priority": _AT_THE_CALL,
    "countdown": _AT_THE_CALL,
    "eta": _AT_THE_CALL,
    "routing_key": "give queue= to apply_async",
    "exchange": "give queue= to apply_async",
}


def check_options(misplaced: tuple[Any, ...], unknown: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise UnknownPolicy for an argument that the decorator does not take.

    Args:
        misplaced: The positional arguments.
        unknown: The named arguments that are not policies.
        known: The names of the policies.

    """
    if len(misplaced) == 1 and not unknown and callable(misplaced[0]):
        name = getattr(misplaced[0], "__name__", "it")
        raise UnknownPolicy(f"@gatekeeper.task stands before {name} without brackets; write @gatekeeper.task()")
    if misplaced:
        raise UnknownPolicy(f"@gatekeeper.task({misplaced[0]!r}, …): every policy has a name; write for example key=…")
    for option in unknown:
        raise UnknownPolicy(
            f"@gatekeeper.task got an unexpected keyword argument {option!r}; {_instead(option, known)}"
        )


def check_body(body: Any) -> None:
    """Raise PolicyError unless this is a plain function."""
    if inspect.isfunction(body) and body.__name__.isidentifier():
        return
    if hasattr(body, "apply_async"):
        raise PolicyError(f"{body.name} is a task already; keep @gatekeeper.task(…) and remove the other decorator")
    what = "a lambda" if inspect.isfunction(body) else repr(body)
    raise PolicyError(f"@gatekeeper.task stands before a function, not before {what}; write def NAME(…): …")


def naming_argument(argument: str, read: Callable[[Any], Any], value: Any) -> Any:
    """Return `read(value)`; a PolicyError is raised again with the name of the argument in front."""
    try:
        return read(value)
    except PolicyError as error:
        raise PolicyError(f"{argument}=: {error}") from None


def _instead(option: str, known: Collection[str]) -> str:
    if option in ALTERNATIVES:
        return ALTERNATIVES[option]
    near = get_close_matches(option, known, n=1)
    return f"did you mean {near[0]}=?" if near else f"the policies are: {', '.join(known)}"
