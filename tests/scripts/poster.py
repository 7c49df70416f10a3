"""One task of one agent on a ledger, for tests that look at a single script; policies are made by the real gate."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis

from gatekeeper.policies import policy
from gatekeeper.policies.durations import Duration
from gatekeeper.policies.policy import Breaker, Budget, Cap, Effect, Policies, Rate
from gatekeeper.policies.spec import TaskSpec
from state.agents import measures, snapshot
from state.agents.audit import Said
from state.agents.autonomy import Mode
from state.agents.past import in_full, past
from state.constants import BUDGET_SLICES
from state.decision import Decision, KeyInUse, NeedsLookup, Refusal, Replay
from state.journal import events, records
from state.journal.heads import JournalHead
from state.ledger import Ledger, owner, resolve
from state.ledger.admission import NOTHING
from state.ledger.owner import Moment
from state.model import AttemptResult, Call, Claim, FactChange, Outcome, Proposal
from state.redis.keys import Keys

AGENT = "poster"

#: In milliseconds, for tests that move stored times instead of waiting.
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
#: How long what is told of an effect is kept, unless LEDGER_DAYS says otherwise.
LEDGER = 90 * DAY

_numbers = itertools.count(1)


def body(post_id: str, text: str = "", destination: str = "feed") -> str:
    """What stands behind the gate; the scripts never see it run."""
    return f"{post_id} {text} {destination}"


body.__module__, body.__name__ = f"tasks.{AGENT}", "post"


def a_gate(
    *,
    key: str | None = "post:{destination}:{post_id}",
    rate: str | Rate | list[str | Rate] | None = None,
    cap: str | Cap | list[str | Cap] | None = None,
    budget: str | Budget | list[str | Budget] | None = None,
    breaker: Breaker | None = None,
    effect: bool | Effect = True,
    lease: Duration = "2m",
    attempts: int | None = None,
    max_age: Duration = "7d",
) -> TaskSpec:
    """The gate of a task with these policies."""
    rates, caps, budgets = policy.several(Rate, rate), policy.several(Cap, cap), policy.several(Budget, budget)
    changes = (Effect() if effect else None) if isinstance(effect, bool) else effect
    return TaskSpec(body, Policies(key, rates, caps, breaker, changes, lease, None, attempts, "10s", max_age, budgets))


def sure(*, drain: Duration = "90s", absences: int = 2, every: Duration = "60s") -> Effect:
    """An effect that can be looked up; the scripts never see the look-up itself."""
    return Effect(verify=body, drain=drain, absences=absences, every=every)


class Poster:
    """A caller, an attempt and a reader of one task; every method is one step of the protocol."""

    def __init__(self, redis: Redis, gate: TaskSpec | None = None) -> None:
        self.redis = redis
        self.ledger = Ledger(redis)
        self.gate = gate or a_gate()
        self.n = Keys(AGENT)
        self.known: JournalHead = NOTHING
        self._calls: dict[str, Call] = {}
        self._frozen: dict[Claim, str] = {}

    # Steps

    def open(self) -> Poster:
        """Agree with the journal on an epoch, as real effects do; later claims belong to it."""
        self.known = self.ledger.known(AGENT)
        return self

    def call(self, post_id: str = "hello", *, id: str | None = None, **more: str) -> Call:
        call = self.gate.call((), {"post_id": post_id, **more}, id=id or f"call{next(_numbers)}", origin="test")
        return self._calls.setdefault(call.id, call)

    def register(self, call: Call | None = None, delay_ms: int = 0) -> Call:
        call = call or self.call()
        assert self.ledger.register(call, delay_ms)
        return call

    def admit(
        self, call: Call | str | None = None, owner: str | None = None, alive: str = "", closed: str = ""
    ) -> Decision:
        call = call if isinstance(call, Call) else self.call(call or "hello")
        owner = owner or f"owner{next(_numbers)}/1"
        if (self.redis.zscore(self.n.waiting, call.id) or 0) > self.now():
            self.come_due(call, "waiting")  # nobody sends the message of a call that waits before that
        return self.ledger._admit_once(call, owner, self.scope_of(call), alive, self.known, closed)

    def scope_of(self, call: Call) -> Any:
        return self.gate.limits(self.gate.contract.bind((), json.loads(call.kwargs)))

    def claim(self, call: Call | str | None = None, owner: str | None = None) -> Claim:
        decision = self.admit(call, owner)
        assert isinstance(decision, Claim), decision
        return decision

    def refused(self, call: Call | str | None = None) -> dict[str, Any]:
        """The receipt of a call that must be refused for good."""
        decision = self.admit(call)
        assert isinstance(decision, Refusal), decision
        assert "deferred" not in decision.receipt, decision
        return decision.receipt

    def deferred(self, call: Call | str | None = None) -> dict[str, Any]:
        """The receipt of a call that must be told to come again."""
        decision = self.admit(call)
        assert isinstance(decision, Refusal), decision
        assert decision.receipt["deferred"] is True, decision
        return decision.receipt

    def replayed(self, call: Call | str | None = None) -> Replay:
        decision = self.admit(call)
        assert isinstance(decision, Replay), decision
        return decision

    def busy(self, call: Call | str | None = None) -> KeyInUse:
        decision = self.admit(call)
        assert isinstance(decision, KeyInUse), decision
        return decision

    def cross(self, claim: Claim, payload: str = '"hello"', events: Sequence[str] = ()) -> list[Any]:
        call = self._calls[claim.call]
        answer = self.ledger.begin_effect(call, claim, self.scope_of(call), payload, events or [event("sending")])
        if answer[0] == "sending":
            self._frozen[claim] = answer[1]
        return answer

    def settle(
        self,
        claim: Claim,
        outcome: Outcome = "done",
        *,
        applied: bool | None = None,
        error: str = "it broke",
        retry_ms: int | None = None,
        facts: tuple[FactChange, ...] = (),
        counters: dict[str, int] | None = None,
        measure: str = "",
        requests: dict[str, int] | None = None,
        flaw: str = "",
        journaled: bool = False,
    ) -> str | None:
        """Settle the attempt; `journaled` writes it down first, as an attempt inside the effect does."""
        done = outcome == "done"
        call = self._calls[claim.call]
        settlement = AttemptResult(
            outcome,
            result='{"result":"it went well","rung":null}' if done else "",
            flaw=flaw,
            error="" if done else error,
            retry_ms=retry_ms,
            effect_happened=done if applied is None else applied,
            facts=facts,
            counters=counters or {},
            measure=measure,
            requests=requests or {},
            payload=self._frozen.get(claim, ""),
            events=[event(outcome)],
        )
        if journaled and claim.epoch:
            events.outcome(self.ledger.journal, claim, settlement)
        return self.ledger._settle_once(call, claim, self.scope_of(call), settlement)

    def ask(self, claim: Claim, payload: str = '"hello"', *, within_ms: int = 7 * DAY) -> str | None:
        """End an attempt whose agent asks before it sends this payload."""
        call = self._calls[claim.call]
        proposal = Proposal(payload, "builtins:str", claim.revision + 1, self.now() + within_ms)
        self.ledger.ask(call, claim, proposal)
        receipt = {"error": "waits for approval", "stage": "approval"}
        end = AttemptResult("asked", receipt=receipt, proposal=proposal, events=[event("asked")])
        return self.ledger._settle_once(call, claim, self.scope_of(call), end)

    def set_mode(self, mode: Mode) -> None:
        self.ledger.set_autonomy(AGENT, mode, Said("autonomy", "ada", why="to try it"))

    def spend(self, claim: Claim, tokens: int) -> list[str]:
        """Models have charged this attempt so many tokens so far; answers the rules of budgets that these used up."""
        call = self._calls[claim.call]
        return self.ledger.spend(claim, call.task, self.scope_of(call), tokens)

    def publish(self, post_id: str = "hello") -> Claim:
        """One whole attempt that goes well."""
        claim = self.claim(post_id)
        assert self.cross(claim)[0] == "sending"
        assert self.settle(claim) is None
        return claim

    def fail(self, post_id: str = "hello", outcome: Outcome = "failed", **how: Any) -> Claim:
        """One whole attempt that does not."""
        claim = self.claim(post_id)
        assert self.settle(claim, outcome, **how) is None
        return claim

    def doubt(self, call: Call | str | None = None, *, how: str = "it says so", owner: str | None = None) -> Claim:
        """One attempt that ends in doubt: `it says so`, it `died` inside the effect, or only its `lease ended`."""
        claim = self.claim(call, owner)
        assert self.cross(claim)[0] == "sending"
        if how == "it says so":
            assert self.settle(claim, "unknown", error="read timeout") is None
        elif how == "died":
            assert self.reclaim(claim, dead=True) == "unknown"
        else:
            self.end_lease(claim)
            assert self.reclaim(claim, dead=False) == "unknown"
        return claim

    def say_not_applied(self, claim: Claim) -> None:
        """A person ends a doubt: it did not happen, so it is sent again."""
        word = resolve.Resolution("not-applied", "ada", "I looked", force=True)
        assert self.ledger.resolve(AGENT, claim.key, word) == "waiting"

    def asked(self, claim: Claim) -> Claim:
        """The call comes back for a look-up; what is to be asked about."""
        decision = self.admit(self._calls[claim.call])
        assert isinstance(decision, NeedsLookup), decision
        return decision.claim

    def look(
        self,
        claim: Claim,
        began: Moment,
        *,
        absent: bool = True,
        dead: bool = False,
        away_ms: int | None = None,
        knew_death: bool | None = None,
    ) -> list[Any]:
        """A look-up that did not find the effect, that failed, or whose provider was away; by default it begins now."""
        if knew_death is None:
            knew_death = self.key_of(claim).get("gone") == str(claim.fence)
        how = {"absent": absent, "dead": dead, "began": began, "away_ms": away_ms, "knew_death": knew_death}
        return self.ledger.reconcile(claim, history=[event("verify")], **how)  # type: ignore[arg-type]

    def renew(self, claim: Claim) -> bool:
        return self.ledger.renew(claim, self.scope_of(self._calls[claim.call]))

    def reclaim(self, claim: Claim, *, dead: bool) -> str:
        return self.ledger.reclaim(claim, dead=dead)

    def a_dead_process(self, name: str = "dead") -> str:
        """An owner whose lock file is here and free."""
        owner.folder().mkdir(parents=True, exist_ok=True)
        (owner.folder() / f"{name}.lock").touch()
        return f"{name}/{next(_numbers)}"

    # What is to be seen

    def now(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def key_of(self, claim: Claim | str) -> dict[str, str]:
        return dict(self.redis.hgetall(self.n.key(claim if isinstance(claim, str) else claim.key)))

    def cancel(self, call: str, by: str) -> bool:
        """End one call that has not begun, as a revoke does; False if it has, or is not known."""
        return self.ledger.cancel(AGENT, call, by).is_new

    def call_of(self, call: Call | Claim) -> dict[str, str]:
        return dict(self.redis.hgetall(self.n.call(call.id if isinstance(call, Call) else call.call)))

    def story(self, key: str) -> list[dict[str, Any]]:
        noted = past(in_full(key, self.redis.hgetall(self.n.key(key))))
        return [*noted, *map(json.loads, self.redis.lrange(self.n.history(key), 0, -1))]

    def marks(self) -> dict[str, str]:
        """Key → fence, of every effect that is on its way or happened."""
        kept = self.redis.hgetall(self.n.ledger)
        return {name.removeprefix("sent:"): fence for name, fence in kept.items() if name.startswith("sent:")}

    def records(self, event: str) -> list[dict[str, Any]]:
        """What the journal holds of one kind."""
        found = itertools.chain.from_iterable(map(records.read, self.ledger.journal.files()))
        return [record for record in found if isinstance(record, dict) and record["event"] == event]

    def metrics(self) -> dict[str, int]:
        """The totals of the state file; those with a space are for /metrics."""
        stored = self.redis.hgetall(self.n.metrics)
        return {name: int(total) for name, total in stored.items() if " " not in name}

    def measures(self) -> measures.Measures:
        """What is counted for /metrics."""
        return measures.read(self.redis.hgetall(self.n.measures) | self.redis.hgetall(self.n.metrics))

    def revision(self) -> int:
        return int(self.redis.hget(self.n.agent_meta, "revision") or 0)

    def document(self) -> dict[str, Any]:
        """What the mirror would write."""
        return snapshot.snapshot(AGENT).document()

    def dump(self, without: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
        """Every key this agent has in Redis, for a before and after."""
        found: dict[str, Any] = {}
        for name in sorted(self.redis.scan_iter(f"gate:{{{AGENT}}}:*")):
            if not without(name):
                found[name] = (self.redis.type(name), value_of(self.redis, name))
        return found

    # Moving time: the scripts read the server's clock, so what is stored is moved the other way

    def age_call(self, call: Call, ms: int) -> None:
        self.redis.hincrby(self.n.call(call.id), "at_ms", -ms)

    def end_lease(self, claim: Claim) -> None:
        self.redis.hset(self.n.key(claim.key), "lease_ms", self.now() - 1)
        self.redis.zadd(self.n.running, {claim.key: self.now() - 1})

    def pass_time_for_rates(self, ms: int) -> None:
        for name in self.redis.scan_iter(f"gate:{{{AGENT}}}:rate:*"):
            for field in self.redis.hkeys(name):
                self.redis.hincrbyfloat(name, field, -ms)

    def pass_time_for_caps(self, ms: int) -> None:
        for name in self.redis.scan_iter(f"gate:{{{AGENT}}}:cap:*"):
            for member, score in self.redis.zrange(name, 0, -1, withscores=True):
                self.redis.zadd(name, {member: score - ms})

    def pass_time_for_budgets(self, ms: int) -> None:
        for name in self.redis.scan_iter(f"gate:{{{AGENT}}}:budget:*"):
            slices = round(ms / (int(name.split(":")[4]) / BUDGET_SLICES))
            stored = {int(slice_) - slices: tokens for slice_, tokens in self.redis.hgetall(name).items()}
            self.redis.delete(name)
            self.redis.hset(name, mapping=stored)

    def pass_time_for_breaker(self, ms: int) -> None:
        for name in self.redis.scan_iter(f"gate:{{{AGENT}}}:breaker:*"):
            for field in {"open_until_ms", "probe_until_ms"} & set(self.redis.hkeys(name)):
                self.redis.hincrby(name, field, -ms)

    def come_due(self, call: Call, zset: str) -> None:
        """Make a call's time in `queued` or `waiting` pass."""
        name = getattr(self.n, zset)
        assert self.redis.zscore(name, call.id) is not None, f"{call.id} is not {zset}"
        self.redis.zadd(name, {call.id: self.now() - 1})


def event(name: str) -> str:
    return json.dumps({"at": 0, "event": name})


def value_of(redis: Redis, name: str) -> Any:
    match redis.type(name):
        case "hash":
            return redis.hgetall(name)
        case "zset":
            return redis.zrange(name, 0, -1, withscores=True)
        case "list":
            return redis.lrange(name, 0, -1)
        case "stream":
            return redis.xlen(name)
        case kind:
            raise AssertionError(f"{name} is a {kind}")
