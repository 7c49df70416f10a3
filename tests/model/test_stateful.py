"""Any order of steps, on the real ledger, journal and scripts: the same promises as in the model.

Here nobody knows what should come next: a step is tried whenever it makes sense for those who do it, also where the
protocol refuses it, and only the promises are looked at.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from state.decision import NeedsResync
from state.ledger import owner
from state.model import Claim
from tests.harness import Valkey
from tests.model.stage import Stage
from tests.model.stage_of_hosts import Attempt

pytestmark = pytest.mark.slow

ATTEMPTS, WORKERS, LOSSES = 4, 2, 3

#: Which of those that a step may be about.
which = st.integers(0, ATTEMPTS - 1)


class Protocol(RuleBasedStateMachine):
    """One key, two workers, and all that can happen to them."""

    valkey: Valkey

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.valkey.client().flushall()
        self.stage = Stage(self.valkey.client(), self.folder / "journal")
        self.older: dict[str, bytes] | None = None
        self.losses = 0
        self.looks: list[tuple[int, bool, bool, Any]] = []

    def teardown(self) -> None:
        try:
            self.come_to_an_end()
        finally:
            self.stage.close()
            shutil.rmtree(self.folder)

    def those(self, when: Callable[[Attempt], bool]) -> list[int]:
        return [number for number, attempt in enumerate(self.stage.attempts) if when(attempt)]

    def one(self, number: int, when: Callable[[Attempt], bool]) -> int | None:
        """One of those for which this holds, if there is any."""
        able = self.those(when)
        return able[number % len(able)] if able else None

    # Workers

    @precondition(lambda self: len(self.stage.attempts) < ATTEMPTS)
    @rule()
    def claims(self) -> None:
        if len(self.those(lambda attempt: attempt.process.lives)) < WORKERS:
            self.claim()

    def claim(self) -> bool:
        decision, process = self.stage.admit()
        if isinstance(decision, NeedsResync):
            if self.stage.can_keep():  # else a recovery has the journal's lock, and this would wait for it
                self.stage.audit()
        elif isinstance(decision, Claim):
            self.stage.take(decision, process)
            return True
        return False

    @rule()
    def reads(self) -> None:
        self.stage.read()

    @rule()
    def forgets_what_it_read(self) -> None:
        self.stage.forget()

    @rule(number=which)
    def writes_its_intent(self, number: int) -> None:
        able = self.one(number, lambda attempt: attempt.process.lives and attempt.thread is None)
        if able is not None:
            self.stage.intent(able)

    @rule(number=which)
    def crosses(self, number: int) -> None:
        able = self.one(number, lambda a: a.process.lives and a.thread is not None and a.answer == "nothing")
        if able is not None:
            self.stage.cross(able)

    @rule(number=which)
    def sends(self, number: int) -> None:
        able = self.one(number, lambda a: a.process.lives and a.answer == "sending" and not a.wire)
        if able is not None:
            self.stage.send(able)

    @rule(number=which, is_heard=st.booleans())
    def writes_its_outcome(self, number: int, is_heard: bool) -> None:
        able = self.one(number, lambda a: a.process.lives and a.wire != "" and a.end is None)
        if able is not None:
            wire = self.stage.attempts[able].wire
            heard = {"applied": "done", "refused": "failed"}.get(wire, "unknown")
            self.stage.outcome(able, heard if is_heard else "unknown")

    @rule(number=which)
    def settles(self, number: int) -> None:
        able = self.one(number, lambda attempt: attempt.process.lives and attempt.end is not None)
        if able is not None:
            self.stage.settle(able)

    @rule(number=which)
    def is_killed(self, number: int) -> None:
        able = self.one(number, lambda attempt: attempt.process.lives)
        if able is not None:
            self.stage.attempts[able].kill()

    # The network

    @rule(number=which, how=st.sampled_from(["applied", "refused", "lost"]))
    def request_arrives(self, number: int, how: str) -> None:
        able = self.one(number, lambda attempt: attempt.wire == "flying")
        if able is not None:
            self.stage.arrive(able, how)

    @rule(hows=st.lists(st.sampled_from(["applied", "refused", "lost"]), min_size=ATTEMPTS, max_size=ATTEMPTS))
    def time_passes(self, hows: list[str]) -> None:
        """Nothing is on its way for longer than a drain."""
        for number in self.those(lambda attempt: attempt.wire == "flying"):
            self.stage.arrive(number, hows[number])
        self.stage.wait()

    # Keepers

    @rule(number=which)
    def claim_is_taken_away(self, number: int) -> None:
        if self.stage.attempts:
            self.stage.reclaim(number % len(self.stage.attempts))

    @precondition(lambda self: self.stage.state == "unknown" and self.stage.holder >= 0)
    @rule()
    def look_up_begins(self) -> None:
        holder = self.stage.holder
        dead = owner.is_dead(self.stage.attempts[holder].claim.owner)
        self.looks.append((holder, self.stage.applied > 0, dead, owner.boot_clock()))

    @precondition(lambda self: self.looks)
    @rule(number=st.integers(0, 9))
    def look_up_ends(self, number: int) -> None:
        holder, found, dead, began = self.looks.pop(number % len(self.looks))
        if found:
            self.stage.find(holder)
        else:
            self.stage.judge(holder, dead=dead, began=began)

    @rule()
    def restart_is_noticed(self) -> None:
        if self.stage.can_keep():
            self.stage.audit()

    @rule()
    def recovery_goes_on(self) -> None:
        if self.stage.can_keep():
            self.stage.begin_recovery()
        else:
            self.stage.go_on_with_recovery()

    @precondition(lambda self: not self.stage.can_keep())
    @rule()
    def recovery_is_killed(self) -> None:
        self.stage.kill_recovery()

    # What is lost

    @precondition(lambda self: self.losses < LOSSES)
    @rule(how=st.sampled_from(["flush", "restart", "evict"]))
    def redis_loses(self, how: str) -> None:
        if how == "evict" and self.stage.state not in ("sending", "unknown", "done", "held"):
            return  # before the effect there is nothing to lose but a claim
        self.losses += 1
        getattr(self.stage, how)()

    @rule()
    def redis_is_copied(self) -> None:
        self.older = self.stage.copy()

    @precondition(lambda self: self.losses < LOSSES and self.older is not None)
    @rule()
    def redis_falls_back(self) -> None:
        assert self.older is not None
        self.losses += 1
        self.stage.roll_back(self.older)

    # Promises

    @invariant()
    def it_happens_at_most_once(self) -> None:
        assert self.stage.applied <= 1

    @invariant()
    def what_is_done_happened(self) -> None:
        assert self.stage.state != "done" or self.stage.applied == 1

    @invariant()
    def a_key_that_is_free_has_nothing_on_its_way(self) -> None:
        if self.stage.state == "waiting" and self.stage.is_open:
            can_send = self.those(lambda a: a.process.lives and a.answer == "sending" and not a.wire)
            assert not can_send
            assert not self.those(lambda attempt: attempt.wire in ("flying", "applied"))

    @invariant()
    def a_text_that_may_be_out_is_the_only_one_from_then_on(self) -> None:
        for number, first in enumerate(self.stage.attempts):
            if first.wire and not (first.end and first.end.outcome == "failed"):
                assert {a.text for a in self.stage.attempts[number:] if a.wire} == {first.text}

    def come_to_an_end(self) -> None:
        """Nothing is lost: whatever happened, the key can be brought to an end."""
        stage = self.stage
        stage.forget()
        for attempt in stage.attempts:
            attempt.kill()
            attempt.wire = "lost" if attempt.wire == "flying" else attempt.wire
        if not stage.can_keep():
            stage.finish_recovery()
        if not stage.audit():
            stage.begin_recovery()
            assert stage.finish_recovery() == ""
        assert stage.is_open
        if stage.state in ("claimed", "sending"):
            stage.reclaim(stage.holder)
        for _ in range(3):
            if stage.state == "unknown" and stage.applied:
                stage.find(stage.holder)
            elif stage.state == "unknown":
                stage.wait()
                stage.look(stage.holder)
        assert stage.state in ("none", "waiting", "done", "held")
        assert stage.state == "held" or (stage.state == "done") == (stage.applied == 1)
        assert stage.state in ("done", "held") or self.claim()


@pytest.mark.usefixtures("own_state_folder")
def test_no_order_of_steps_breaks_a_promise(valkey: Valkey) -> None:
    Protocol.valkey = valkey
    how = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(Protocol, settings=settings(how, suppress_health_check=list(HealthCheck)))
