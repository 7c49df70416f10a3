"""The model's steps, done with the real ledger, journal and scripts on a real server, for one key of one agent.

The provider is a few lines here. Time moves only where a step says so. A step that the code takes in one go is stopped in
the middle of it, in a thread of its own.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from redis import Redis

from state.errors import JournalUnavailable
from state.journal import events
from state.journal.journal import Journal
from state.ledger import Ledger, owner
from state.ledger.attempt import MAX_LOOKS
from state.ledger.owner import Moment
from state.model import AttemptResult, Call, CallLimits, Claim
from state.recovery import epoch, recover
from state.redis.keys import Keys
from tests.model.losses import KEY, Losses
from tests.model.processes import PATIENCE, Process, StoppingJournal, Stops, thread
from tests.model.recoveries import Recoveries
from tests.model.stage_of_hosts import Attempt, Hosts
from tests.scripts.poster import AGENT, a_gate, event

DRAIN_MS = 60_000
PROOF = json.dumps({"drain_ms": DRAIN_MS, "every_ms": 0, "absences": 1})
#: As the model names them.
STATES = {None: "none", "queued": "waiting", "rejected": "waiting"}


class Stage(Losses, Recoveries, Hosts):
    """A ledger with its journal; `attempts` as in the model."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis, self.folder, self.n = redis, folder, Keys(AGENT)
        self.journal = Journal(folder)
        self.ledger = Ledger(redis, self.journal)
        gate = a_gate(attempts=100)
        self.call: Call = gate.call((), {"post_id": "hello"}, id="call1", origin="test")
        self.terms: CallLimits = replace(gate.limits(gate.contract.bind((), {"post_id": "hello"})), verify=PROOF)
        self.attempts: list[Attempt] = []
        self._read: Any = None
        self._number = 0
        self.now_ms = DRAIN_MS
        self._clock = patch.object(owner, "boot_clock", lambda: Moment("this boot", self.now_ms))
        self._clock.start()
        self._publish_another(gate)

    def _publish_another(self, gate: Any) -> None:
        """Another key is done, so that a recovery always has something to write."""
        call = gate.call((), {"post_id": "another"}, id="call0", origin="test")
        claim = self.ledger._admit_once(call, "another/1", self.terms, known=self._known())
        if not isinstance(claim, Claim):
            assert recover.resync(self.redis, self.journal, AGENT)
            claim = self.ledger._admit_once(call, "another/1", self.terms, known=self._known())
        assert isinstance(claim, Claim), claim
        assert self.ledger.begin_effect(call, claim, self.terms, '"another"', [event("sending")])[0] == "sending"
        end = AttemptResult("done", result='{"result":null,"rung":null}', effect_happened=True)
        events.outcome(self.journal, claim, end)
        assert self.ledger._settle_once(call, claim, self.terms, end) is None

    def close(self) -> None:
        """End what still runs."""
        for attempt in self.attempts:
            attempt.kill()
        if self._recovery:
            self.kill_recovery()
        self._clock.stop()

    # What is to be seen

    @property
    def state(self) -> str:
        kept = self.redis.hget(self.n.key(KEY), "state")
        return STATES.get(kept, str(kept))

    @property
    def holder(self) -> int:
        """The attempt that the key's record names; -1 if none."""
        named = self.redis.hget(self.n.key(KEY), "owner")
        return next((n for n, attempt in enumerate(self.attempts) if attempt.claim.owner == named), -1)

    @property
    def is_open(self) -> bool:
        """Whether admission would find the ledger sound; asked without touching it."""
        unchecked = self.redis.hget(self.n.ledger, "run") != epoch.run_id(self.redis, self.n.agent)
        forgotten = self.redis.hexists(self.n.ledger, f"sent:{KEY}") and not self.redis.hexists(
            self.n.key(KEY), "payload"
        )
        return epoch.why_closed(self.redis, self.journal, AGENT) is None and not unchecked and not forgotten

    @property
    def applied(self) -> int:
        return sum(attempt.wire == "applied" for attempt in self.attempts)

    def _known(self) -> Any:
        return self.ledger.known(AGENT)

    # A worker

    def read(self) -> None:
        """To be used later, however old it is then."""
        self._read = self._known()

    def forget(self) -> None:
        """What was read before is not used any more."""
        self._read = None

    def admit(self) -> Any:
        """Ask for the key, with what was read before or is known now; answers the decision and its process."""
        self._number += 1
        process = Process(f"{AGENT}-{id(self):x}-{self._number}")
        known = self._read or self._known()
        self.redis.zadd(self.n.waiting, {self.call.id: 0}, xx=True)  # a message comes when a call's time has come
        decision = self.ledger._admit_once(self.call, process.owner, self.terms, known=known)
        if not isinstance(decision, Claim):
            process.die()
        return decision, process

    def claim(self, number: int) -> None:
        decision, process = self.admit()
        assert isinstance(decision, Claim), decision
        assert number == len(self.attempts)
        self.take(decision, process)

    def take(self, claim: Claim, process: Process) -> None:
        """An attempt begins. Each would write another text."""
        text = claim.payload or json.dumps(f"text of W{len(self.attempts) + 1}")
        self.attempts.append(Attempt(process, claim, text))

    def intent(self, number: int) -> None:
        attempt = self.attempts[number]
        stops = Stops()
        attempt.journal = StoppingJournal(self.folder, stops)
        ledger = Ledger(self.redis, attempt.journal)

        def run() -> None:
            with suppress(JournalUnavailable):
                answer = ledger.begin_effect(self.call, attempt.claim, self.terms, attempt.text, [event("sending")])
                attempt.answer = answer[0]

        attempt.stops, attempt.thread = stops, thread(run)
        stops.wait(attempt.thread)

    def cross(self, number: int) -> str:
        """Answers what the code said; anything but "sending" ends the attempt."""
        attempt = self.attempts[number]
        assert attempt.stops
        assert attempt.thread
        attempt.stops.go_on(attempt.thread)
        attempt.thread.join(PATIENCE)
        if attempt.answer != "sending":
            attempt.process.die()
        return attempt.answer

    def send(self, number: int) -> None:
        self.attempts[number].wire = "flying"

    def arrive(self, number: int, how: str) -> None:
        self.attempts[number].wire = how

    def outcome(self, number: int, outcome: Any) -> None:
        attempt = self.attempts[number]
        attempt.end = _settlement(outcome, attempt.text)
        events.outcome(self.journal, attempt.claim, attempt.end)

    def settle(self, number: int) -> str | None:
        """Answers the key's state if the claim was lost, else None."""
        attempt = self.attempts[number]
        assert attempt.end
        lost = self.ledger._settle_once(self.call, attempt.claim, self.terms, attempt.end)
        attempt.process.die()
        return lost

    # What cleans up

    def reclaim(self, number: int) -> str:
        """The sweeper, for a claim whose lease ended."""
        claim, key = self.attempts[number].claim, self.n.key(KEY)
        if self.redis.hexists(key, "lease_ms"):
            self.redis.hset(key, "lease_ms", 1)
        return self.ledger.reclaim(claim, dead=False)

    def look(self, number: int, *, absent: bool = True) -> list[Any]:
        """A look-up that does not find the effect; not `absent`: one that gets no answer."""
        dead = owner.is_dead(self.attempts[number].claim.owner)
        return self.judge(number, dead=dead, began=owner.boot_clock(), absent=absent)

    def judge(self, number: int, *, dead: bool, began: Moment, absent: bool = True) -> list[Any]:
        """The second half of it: `dead` and `began` are from before the question."""
        claim = self.attempts[number].claim
        knew = self.knows_death(number)
        return self.ledger.reconcile(
            claim, absent=absent, dead=dead, knew_death=knew, began=began, history=[event("looked up")]
        )

    def find(self, number: int) -> str | None:
        """A look-up that finds the effect."""
        claim, end = self.attempts[number].claim, _settlement("done", self.attempts[number].text)
        events.outcome(self.journal, claim, end)
        return self.ledger._settle_once(self.call, claim, self.terms, end)

    def hold(self, number: int) -> None:
        for _ in range(MAX_LOOKS):
            if self.look(number, absent=False)[0] == "held":
                return
        raise AssertionError("never held")

    def wait(self) -> None:
        """Longer than anything that is on its way now can be."""
        self.now_ms += 2 * DRAIN_MS

    def audit(self) -> bool:
        return recover.resync(self.redis, self.journal, AGENT)


def _settlement(outcome: Any, payload: str) -> AttemptResult:
    if outcome == "done":
        return AttemptResult("done", result='{"result":null,"rung":null}', effect_happened=True, payload=payload)
    return AttemptResult(outcome, error="it broke", retry_ms=0 if outcome == "failed" else None, payload=payload)
