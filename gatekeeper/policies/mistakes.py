"""Wrong options of the decorator, such as Celery's own, and what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from gatekeeper.errors import PolicyError, UnknownPolicy

#: What to write instead of the options of the decorators of Celery and other libraries, and those options.
_ALTERNATIVES = {
    "remove it, and 'self': the arguments name the call, gatekeeper.memory() remembers": "bind",
    "remove it: a task takes its name from its module and function": "name",
    "remove it: the gate handles this": (
        "base shared acks_late acks_on_failure acks_on_timeout acks_on_failure_or_timeout reject_on_worker_lost "
        "track_started store_errors_even_if_ignored send_events"
    ),
    "remove it: the annotations say what arguments and result must be": "typing pydantic pydantic_strict pydantic_context",
    "remove it: messages are JSON": "serializer",
    "remove it: messages are small and stay readable": "compression",
    "write attempts=, with backoff=": "max_retries retries retry autoretry_for retry_kwargs",
    "write backoff=": "retry_backoff retry_backoff_max default_retry_delay",
    "write backoff=: a jitter is part of it": "retry_jitter",
    "write rate=, which holds for all workers together": "rate_limit",
    "write time_limit=": "soft_time_limit timeout",
    "write max_age=": "expires ttl",
    "write key=": "idempotency_key",
    "write effect=Effect(verify=…)": "verify",
    "write effect=Effect(undo=…)": "undo",
    "raise gatekeeper.Refused for what is not to be tried again": "dont_autoretry_for",
    "raise gatekeeper.Refused for what is not a failure": "throws",
    "give it to apply_async: it belongs to one call": "ignore_result queue priority countdown eta",
    "give queue= to apply_async": "routing_key exchange",
}
#: By option: what to write instead.
ALTERNATIVES = {option: instead for instead, options in _ALTERNATIVES.items() for option in options.split()}


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


def _instead(option: str, known: Collection[str]) -> str:
    if option in ALTERNATIVES:
        return ALTERNATIVES[option]
    near = get_close_matches(option, known, n=1)
    return f"did you mean {near[0]}=?" if near else f"the policies are: {', '.join(known)}"
