"""The specification of one task: its contract, its key and its policies, checked when the module is imported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import settings
from gatekeeper.errors import PolicyError, UnknownTask
from gatekeeper.policies.callback import Callback
from gatekeeper.policies.contract import Contract
from gatekeeper.policies.durations import duration_ms
from gatekeeper.policies.key_template import Template
from gatekeeper.policies.policy import Breaker, Effect, Policies
from state.ledger.call_limits import call_limits
from state.model import Call, CallLimits

#: Longer than any request should take, and short enough that a lost worker is noticed within two minutes.
DEFAULT_LEASE = "2m"
#: A call older than this is refused, because its caller has given up. Webhook senders retry for up to three days.
MAX_AGE = "7d"
#: Repeat-safe calls and their keys are kept this long, so that a failure of last week can still be explained.
KEEP_MS = duration_ms("7d")
DAY_MS = duration_ms("1d")
#: Enough to outlast the restart of a service; more attempts would only repeat the same error.
DEFAULT_ATTEMPTS = 3
#: With the longest pause between attempts this is more than a month; a larger number is a typing error.
MAX_ATTEMPTS = 1000
#: The longest pause between two attempts.
MAX_BACKOFF_MS = duration_ms("1h")
#: Seconds. A longer Retry-After is cut to this: one request a day does no harm.
MAX_RETRY_AFTER = 86_400.0

#: The ids of a schedule's ticks begin with this.
TICK_PREFIX = "tick:"

#: So many scopes of a task keep their limits in memory; a task has a few destinations, or an open number of customers.
MAX_SCOPES = 128

_AGENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class TaskSpec:
    """The specification of one task. `name` is the Celery name, `agent` the last part of the module's name."""

    def __init__(self, body: Callable[..., Any], policies: Policies) -> None:
        """Check the function and its policies.

        Raises:
            PolicyError: a policy makes no sense, or does not fit the function.

        """
        self.body, self.policies = body, policies
        self.name = f"{body.__module__}.{body.__name__}"
        self.agent = body.__module__.rpartition(".")[2]
        self.contract = Contract(self.name, body)
        self.effect = policies.effect
        self.breaker = policies.breaker
        self.rates, self.caps, self.budgets = policies.rates, policies.caps, policies.budgets
        self.lease_ms = self._milliseconds("lease", policies.lease)
        limit = policies.time_limit
        self.limit_ms = self.lease_ms if limit is None else self._milliseconds("time_limit", limit)
        #: Celery's own limits in seconds, for pools that can end a task; the soft one lets the attempt settle.
        self.time_limits = {"soft_time_limit": self.limit_ms / 1000, "time_limit": self.limit_ms / 1000 + 5}
        default = 1 if policies.effect else DEFAULT_ATTEMPTS
        self.attempts = default if policies.attempts is None else policies.attempts
        self.backoff_ms = self._milliseconds("backoff", policies.backoff)
        self.max_age_ms = self._milliseconds("max_age", policies.max_age)
        for problem in self._problems(policies):
            raise PolicyError(f"{self.name}: {problem}")
        self._template = Template(policies.key, self.contract.parameters, f"{self.name}: key") if policies.key else None
        self.verify = self._callback("verify")
        self.undo = self._callback("undo")
        self.then = self._callback("then")
        scopes = [policies.breaker.scope if policies.breaker else ""]
        scopes += [cap.scope for cap in self.caps] + [rate.scope for rate in self.rates]
        scopes += [budget.scope for budget in self.budgets]
        self._scopes = [Template(scope, self.contract.parameters, f"{self.name}: scope") for scope in scopes]
        self._policy = json.dumps(self._as_read_by_scripts(policies))
        self._limits_of = lru_cache(MAX_SCOPES)(self._make_limits)

    @property
    def has_key(self) -> bool:
        """Return whether the arguments name the key, so that two calls with the same ones are one run."""
        return self._template is not None

    def key(self, arguments: Mapping[str, Any], call: str) -> str:
        """Return the idempotency key of a call: the filled template, or else the id of a tick, or a key of its own.

        Raises:
            InvalidArguments: an argument cannot be part of a key.

        """
        if self._template:
            return self._template.fill(arguments)
        return call if call.startswith(TICK_PREFIX) else f"{self.name}:{call}"

    @property
    def key_arguments(self) -> tuple[str, ...]:
        """Return the names of the arguments of which the key is made."""
        return tuple(self._template.fields) if self._template else ()

    def call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: str,  # noqa: A002
        origin: str,
        options: str = "",
    ) -> Call:
        """Return a call of this task with these arguments.

        Args:
            args: The positional arguments.
            kwargs: The named arguments.
            id: The call's id.
            origin: Where the call came in.
            options: JSON text of `state.options.Options`.

        Raises:
            InvalidArguments: the arguments do not fit the task.

        """
        return self.call_with(self.contract.bind(args, kwargs), id=id, origin=origin, options=options)

    def call_with(self, arguments: dict[str, Any], *, id: str, origin: str, options: str = "") -> Call:  # noqa: A002
        """Return a call with arguments that are already validated."""
        text = self.contract.as_json(arguments)
        digest, key = fingerprint(text), self.key(arguments, id)
        return Call(id, self.agent, self.name, key, text, digest, origin, self.effect is not None, options)

    def limits(self, arguments: Mapping[str, Any]) -> CallLimits:
        """Return the policy, and the caps, rates, budgets and breaker that these arguments select."""
        return self._limits_of(*(template.fill(arguments) for template in self._scopes))

    def scope(self, arguments: Mapping[str, Any]) -> str:
        """Return what these arguments select among the task's limits, such as a destination; empty if nothing."""
        filled = (template.fill(arguments) for template in self._scopes)
        return ", ".join(dict.fromkeys(each for each in filled if each))

    def _make_limits(self, breaker: str, *scopes: str) -> CallLimits:
        """Return the limits of the calls whose arguments give these scopes: of the breaker, each cap, rate and budget."""
        given = iter(scopes)
        return call_limits(
            self.agent,
            self.name,
            policy=self._policy,
            lease_ms=self.lease_ms,
            breaker=breaker,
            caps=[(cap.text, next(given)) for cap in self.caps],
            rates=[(rate.text, next(given)) for rate in self.rates],
            budgets=[(budget.window_ms, next(given)) for budget in self.budgets],
            verify=self.effect.proof if self.effect else "",
        )

    def _callback(self, name: str) -> Callback | None:
        function = getattr(self.effect, name, None)
        return function and Callback(f"{self.name}: Effect({name}=…)", function, self.contract.parameters)

    def _milliseconds(self, argument: str, value: Any) -> int:
        try:
            return duration_ms(value)
        except PolicyError as error:
            raise PolicyError(f"{self.name}: {argument}=: {error}") from None

    def _problems(self, policies: Policies) -> Iterator[str]:
        """Yield what makes no sense about the policies, or does not fit the function."""
        key, effect = policies.key, policies.effect
        if not _AGENT.fullmatch(self.agent):
            yield f"{self.agent!r} cannot name an agent; use a-z, 0-9, _ and - for the module's name"
        if not isinstance(policies.breaker, Breaker | None):
            yield f"breaker={policies.breaker!r}; write breaker=Breaker(after=3, cooldown='5m')"
        if not isinstance(effect, Effect | None):
            yield f"effect={effect!r}; write effect=Effect()"
        if effect and not key:
            yield "it has an effect but no key; write key='…{argument}…', the identity of the intent"
        if key is not None and not (isinstance(key, str) and key.strip()):
            yield f"key={key!r}; write a template such as key='{{argument}}'"
        if policies.caps and not effect:
            yield "it has a cap but no effect; a cap counts effects: add effect=Effect() or use rate="
        if len({(budget.window_ms, budget.scope) for budget in policies.budgets}) < len(policies.budgets):
            yield "it has two budgets for the same period; remove the larger one"
        if self.lease_ms < self.limit_ms:
            yield (
                f"the lease of {self.lease_ms / 1000:g}s is shorter than the time limit of {self.limit_ms / 1000:g}s; "
                "a claim must outlive its attempt: lengthen lease="
            )
        if type(self.attempts) is not int or not 1 <= self.attempts <= MAX_ATTEMPTS:
            yield f"attempts={self.attempts!r}; write at least 1 and at most {MAX_ATTEMPTS}, a whole number"

    def _as_read_by_scripts(self, policies: Policies) -> dict[str, Any]:
        policy: dict[str, Any] = {
            "max_age_ms": self.max_age_ms,
            "keep_ms": settings.current().ledger_days * DAY_MS if policies.effect else KEEP_MS,
            "done_ms": 0 if policies.effect else KEEP_MS,
            "caps": [{"rule": c.text, "limit": c.limit, "window_ms": c.window_ms} for c in self.caps],
            "rates": [
                {"rule": r.text, "burst": r.burst, "every_ms": r.every_ms, "wait_ms": r.wait_ms} for r in self.rates
            ],
        }
        if self.budgets:
            policy["budgets"] = [{"rule": b.text, "limit": b.limit, "window_ms": b.window_ms} for b in self.budgets]
        if self.breaker:
            rule = f"{self.breaker.after} failures"
            policy["breaker"] = {"rule": rule, "after": self.breaker.after, "cooldown_ms": self.breaker.cooldown_ms}
        return policy


def fingerprint(arguments_json: str) -> str:
    """Return a digest of the arguments, as 32 hexadecimal digits."""
    return hashlib.sha256(arguments_json.encode(errors="surrogatepass")).hexdigest()[:32]


def register(spec: TaskSpec) -> None:
    """Add a task to the registry; raise PolicyError if its name, or the name of its agent, is taken."""
    for other in _specs.values():
        module = other.body.__module__
        if other.name == spec.name and not _is_reloaded(spec, other):
            raise PolicyError(f"{spec.name} is defined twice; rename one of the functions")
        if other.agent == spec.agent and module != spec.body.__module__:
            raise PolicyError(
                f"{spec.name}: {module} already defines the agent {spec.agent!r}; rename one of the modules"
            )
    _specs[spec.name] = spec


def _is_reloaded(spec: TaskSpec, other: TaskSpec) -> bool:
    """Return whether both come from the same line: the module was imported again."""
    return spec.body.__code__.co_firstlineno == other.body.__code__.co_firstlineno


def registered() -> dict[str, TaskSpec]:
    """Return every task imported so far, by its Celery name."""
    return _specs


def find(name: str) -> TaskSpec:
    """Return the task of this Celery name; raise UnknownTask, which lists those that there are."""
    if name not in _specs:
        raise UnknownTask(
            f"there is no task {name!r}; there are: {', '.join(sorted(_specs))}. Other modules: TASK_MODULES"
        )
    return _specs[name]


def agents() -> list[str]:
    """Return the names of the agents whose tasks were imported, sorted."""
    return sorted({spec.agent for spec in _specs.values()})


_specs: dict[str, TaskSpec] = {}
