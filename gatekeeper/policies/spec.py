"""What stands before one task: its contract, its key and its policies, checked when the module is imported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import settings
from gatekeeper.errors import PolicyError
from gatekeeper.policies import mistakes
from gatekeeper.policies.callback import Callback
from gatekeeper.policies.contract import Contract, fingerprint
from gatekeeper.policies.durations import Duration, duration_ms
from gatekeeper.policies.key_template import Template
from gatekeeper.policies.policy import Breaker, Cap, Effect, Rate
from state.ledger.ledger import CallLimits
from state.model import Call
from state.redis.keys import Keys

#: Longer than any call should take on the network, short enough that a lost worker is noticed in two minutes.
DEFAULT_LEASE = "2m"
#: A call older than this is refused: whoever asked has given up. It also covers a delivery retried for three days.
MAX_AGE = "7d"
#: Repeat-safe calls and their keys are kept this long: a Friday's failure can still be explained the Monday after next.
KEEP_MS = duration_ms("7d")
DAY_MS = duration_ms("1d")
#: Three attempts ride out a restart of whatever the task asks; more would only repeat the same error.
DEFAULT_ATTEMPTS = 3
#: With the longest pause between them that is more than a month; more is a slip of the hand.
MAX_ATTEMPTS = 1000
#: The longest pause between two attempts.
MAX_BACKOFF_MS = duration_ms("1h")
#: Seconds. A service that wants to be left alone for longer is asked all the same: once a day does no harm.
MAX_RETRY_AFTER = 86_400.0

#: How the names of a schedule's ticks begin.
TICK_PREFIX = "tick:"

_AGENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Policies:
    """What the decorator was told."""

    key: str | None
    rates: tuple[Rate, ...]
    caps: tuple[Cap, ...]
    breaker: Breaker | None
    effect: Effect | None
    lease: Duration
    time_limit: Duration | None
    attempts: int | None
    backoff: Duration
    max_age: Duration


class TaskSpec:
    """The gate of one task. `name` is the Celery name, `agent` the module's own name."""

    def __init__(self, body: Callable[..., Any], policies: Policies) -> None:
        self.body, self.policies = body, policies
        self.name = f"{body.__module__}.{body.__name__}"
        self.agent = body.__module__.rpartition(".")[2]
        self.contract = Contract(self.name, body)
        self.effect = policies.effect
        self.breaker = policies.breaker
        self.rates, self.caps = policies.rates, policies.caps
        self.lease_ms = self._milliseconds("lease", policies.lease)
        limit = policies.time_limit
        self.limit_ms = self.lease_ms if limit is None else self._milliseconds("time_limit", limit)
        default = 1 if policies.effect else DEFAULT_ATTEMPTS
        self.attempts = default if policies.attempts is None else policies.attempts
        self.backoff_ms = self._milliseconds("backoff", policies.backoff)
        self.max_age_ms = self._milliseconds("max_age", policies.max_age)
        self._check(policies)
        self._template = Template(policies.key, self.contract.parameters, f"{self.name}: key") if policies.key else None
        self.verify = self._question("verify")
        self.undo = self._question("undo")
        self.then = self._question("then")
        self._scopes = [
            self._scope_template(s) for s in (*(c.scope for c in self.caps), *(r.scope for r in self.rates))
        ]
        self._breaker_scope = self._scope_template(policies.breaker.scope if policies.breaker else "")
        self._policy = json.dumps(self._as_read_by_scripts(policies))

    def key(self, arguments: Mapping[str, Any], call: str) -> str:
        """The idempotency key; without a template each call has its own, and one with a name, as a tick, has that."""
        if self._template:
            return self._template.fill(arguments)
        return call if call.startswith(TICK_PREFIX) else f"{self.name}:{call}"

    def call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: str,  # noqa: A002
        door: str,
        options: str = "",
    ) -> Call:
        """A call of this task; raises InvalidArguments."""
        return self.call_with(self.contract.bind(args, kwargs), id=id, door=door, options=options)

    def call_with(self, arguments: dict[str, Any], *, id: str, door: str, options: str = "") -> Call:  # noqa: A002
        """The same for arguments that are validated already."""
        text = self.contract.as_json(arguments)
        key, effect = self.key(arguments, id), self.effect is not None
        return Call(id, self.agent, self.name, key, text, fingerprint(text), door, effect, options)

    def terms(self, arguments: Mapping[str, Any]) -> CallLimits:
        """The policy and the Redis keys that this call's arguments select."""
        n = Keys(self.agent)
        filled = [template.fill(arguments) for template in self._scopes]
        caps = tuple(n.cap(self.name, p.text, s) for p, s in zip(self.caps, filled, strict=False))
        rates = tuple(n.rate(self.name, p.text, s) for p, s in zip(self.rates, filled[len(caps) :], strict=True))
        breaker = n.breaker(self.name, self._breaker_scope.fill(arguments))
        return CallLimits(self._policy, self.lease_ms, breaker, caps, rates, self.effect.proof if self.effect else "")

    def _question(self, name: str) -> Callback | None:
        function = getattr(self.effect, name, None)
        return function and Callback(f"{self.name}: Effect({name}=…)", function, self.contract.parameters)

    def _scope_template(self, text: str) -> Template:
        return Template(text, self.contract.parameters, f"{self.name}: scope")

    def _milliseconds(self, argument: str, value: Any) -> int:
        return int(mistakes.naming_argument(f"{self.name}: {argument}", duration_ms, value))

    def _check(self, policies: Policies) -> None:
        if not _AGENT.fullmatch(self.agent):
            raise PolicyError(
                f"{self.name}: {self.agent!r} cannot name an agent; use a-z, 0-9, _ and - for the module's name"
            )
        if not isinstance(policies.breaker, Breaker | None):
            raise PolicyError(
                f"{self.name}: breaker={policies.breaker!r}; write breaker=Breaker(after=3, cooldown='5m')"
            )
        if not isinstance(policies.effect, Effect | None):
            raise PolicyError(f"{self.name}: effect={policies.effect!r}; write effect=Effect()")
        if policies.effect and not policies.key:
            raise PolicyError(
                f"{self.name} has an effect but no key; write key='…{{argument}}…', the identity of the intent"
            )
        if policies.key is not None and not (isinstance(policies.key, str) and policies.key.strip()):
            raise PolicyError(f"{self.name}: key={policies.key!r}; write a template such as key='{{argument}}'")
        if policies.caps and not policies.effect:
            raise PolicyError(
                f"{self.name} has a cap but no effect; a cap counts effects: add effect=Effect() or use rate="
            )
        if self.lease_ms < self.limit_ms:
            raise PolicyError(
                f"{self.name}: the lease of {self.lease_ms / 1000:g}s is shorter than the time limit of "
                f"{self.limit_ms / 1000:g}s; a claim must outlive its attempt: lengthen lease="
            )
        if type(self.attempts) is not int or not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise PolicyError(
                f"{self.name}: attempts={self.attempts!r}; write at least 1 and at most {MAX_ATTEMPTS}, a whole number"
            )

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
        if self.breaker:
            rule = f"{self.breaker.after} failures"
            policy["breaker"] = {"rule": rule, "after": self.breaker.after, "cooldown_ms": self.breaker.cooldown_ms}
        return policy


def register(gate: TaskSpec) -> None:
    """Add a gate; raises PolicyError if its name, or its agent's, is taken."""
    for other in _gates.values():
        module = other.body.__module__
        if other.name == gate.name and not _is_reloaded(gate, other):
            raise PolicyError(f"{gate.name} is defined twice; rename one of the functions")
        if other.agent == gate.agent and module != gate.body.__module__:
            raise PolicyError(f"{gate.name}: the agent {gate.agent!r} is {module} already; rename one of the modules")
    _gates[gate.name] = gate


def _is_reloaded(gate: TaskSpec, other: TaskSpec) -> bool:
    """The same lines, imported again."""
    return gate.body.__code__.co_firstlineno == other.body.__code__.co_firstlineno


def registered() -> dict[str, TaskSpec]:
    """Every task that was imported so far, by its Celery name."""
    return _gates


def agents() -> list[str]:
    """The agents of those tasks."""
    return sorted({gate.agent for gate in _gates.values()})


_gates: dict[str, TaskSpec] = {}
