"""The search: every world that can be reached, shortest way first, and what must be true in each."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.model import actions, asking, database, hosts, keepers, recovery, split
from tests.model.actions import Step, is_open
from tests.model.world import Attempt, Rules, Scope, World

#: What an agent that asks promises.
UNREAD = "a text was sent that no person approved"

Action = Callable[[World, Rules, Scope], Iterator[Step]]
Trace = tuple[tuple[str, int], ...]

#: What goes on by itself, given time.
PROGRESS: tuple[Action, ...] = (
    actions.read, actions.claim, actions.write_intent, actions.cross, actions.send, actions.arrive, actions.hear,
    actions.write_outcome, actions.settle, asking.ask, asking.hold_question, asking.write_decision, keepers.look_at_claim, keepers.reclaim, keepers.prove_death,
    keepers.end_drain, keepers.ask, keepers.write_absence, keepers.judge, keepers.ask_at_once, recovery.audit,
    recovery.reopen, recovery.begin_recovery, recovery.read_journal, recovery.write_key, recovery.open_effects,
    hosts.look_at_home, hosts.report_death, hosts.begin_remote_look, hosts.end_remote_look, hosts.hold_unproven,
    database.unconfirmed, database.settle_unsent, database.copy_anew, database.take_over, *split.THERE, split.heal,
)  # fmt: skip
#: What may happen besides.
FAULTS: tuple[Action, ...] = (
    actions.kill, actions.lose, actions.other_key, asking.see, asking.approve, asking.revise, asking.expire, keepers.hold, keepers.retry_blindly, recovery.kill_audit, recovery.kill_recovery,
    hosts.lose_host, hosts.come_back, hosts.say_gone, database.fail_over, split.fail_over,
)  # fmt: skip


def steps(world: World, rules: Rules, scope: Scope) -> Iterator[tuple[bool, str, int, World]]:
    """Everything that can happen next: whether it is a fault, what, to which attempt, and the world after it."""
    for is_fault, group in ((False, PROGRESS), (True, FAULTS)):
        for action in group:
            for what, number, after in action(world, rules, scope):
                for kept in actions.copies(world, after, scope):
                    yield is_fault, what, number, tidy(kept, rules)


def tidy(world: World, rules: Rules) -> World:
    """Forget what can change nothing any more, so that fewer worlds differ."""
    ledger, look, reclaim = world.ledger, world.look, world.reclaim
    if not rules.same_attempt or world.losses or world.spare or world.recovery or not ledger.epoch:
        return world
    if reclaim and (ledger.owner != reclaim.owner or ledger.state not in ("claimed", "sending")):
        world = world._replace(reclaim=None)
    if look and look.written and (ledger.owner != look.owner or ledger.state != "unknown"):
        world = world._replace(look=None)
    return world


def broken(world: World, rules: Rules) -> str | None:
    """The promise that this world breaks, or None."""
    if world.asks and any(a.wire and a.payload not in world.read for a in world.attempts):
        return UNREAD
    ledger, attempts = world.ledger, world.attempts
    applied = sum(a.wire == "applied" for a in attempts)
    if applied > 1:
        return "the effect happened twice"
    if ledger.state == "done" and not applied:
        return "the key is done, but nothing happened"
    may_happen = any(a.wire in ("flying", "draining", "applied") for a in attempts)
    if ledger.state == "waiting" and may_happen and is_open(world._replace(reading=None), rules):
        return "the key is free, but its effect happened or may still happen"
    if any(other_text_after(attempts, number) for number in range(len(attempts))):
        return "two attempts sent different payloads"
    return None


def other_text_after(attempts: tuple[Attempt, ...], number: int) -> bool:
    """Whether a later attempt sent another text than this one, which did not hear that it was refused."""
    first = attempts[number]
    may_be_out = first.wire not in ("", "proven")
    return may_be_out and any(a.wire and a.payload != first.payload for a in attempts[number + 1 :])


def is_end(world: World, rules: Rules, scope: Scope) -> bool:
    """Whether nothing is left to do: the key is done, held, or was given up without an effect."""
    state = world.ledger.state
    rests = state in ("done", "held", "asked")
    given_up = state in ("none", "waiting") and len(world.attempts) == scope.attempts
    at_rest = world.recovery is None and all(a.step == "gone" for a in world.attempts)
    return at_rest and (rests or given_up) and is_open(world._replace(reading=None), rules)


@dataclass(frozen=True)
class Found:
    """What a search found: how many worlds, in how long, and the shortest way to a broken promise, if there is one."""

    states: int
    seconds: float
    promise: str | None = None
    trace: Trace = ()
    stuck: int = 0  #: worlds from which no end can be reached without further faults


@dataclass
class Search:
    """All worlds found so far, by number; `came` is how each was reached first, `back` how it can be reached at all."""

    rules: Rules
    scope: Scope
    only: str = ""  #: stop at this promise only
    ends: bool = False  #: also look for worlds without a way out
    worlds: list[World] = field(default_factory=list)
    came: list[tuple[int, str, int]] = field(default_factory=list)
    back: list[list[int]] = field(default_factory=list)

    def run(self) -> Found:
        """Look at every world, nearest first, until a promise is broken."""
        began, start = time.perf_counter(), self.scope.start()
        numbers = {start: 0}
        self._add(start, (0, "", 0))
        for here, world in enumerate(self.worlds):
            for is_fault, what, who, after in steps(world, self.rules, self.scope):
                there = numbers.setdefault(after, len(self.worlds))
                if there == len(self.worlds):
                    self._add(after, (here, what, who))
                    promise = broken(after, self.rules)
                    if promise and self.only in promise:
                        return Found(there + 1, time.perf_counter() - began, promise, self.way_to(there))
                if self.ends and not is_fault:
                    self.back[there].append(here)
        stuck = len(self.worlds) - self._with_an_end() if self.ends else 0
        return Found(len(self.worlds), time.perf_counter() - began, stuck=stuck)

    def way_to(self, number: int) -> Trace:
        """The shortest trace to a world."""
        trace = []
        while number:
            number, what, who = self.came[number]
            trace.append((what, who))
        return tuple(trace[::-1])

    def _add(self, world: World, came: tuple[int, str, int]) -> None:
        self.worlds.append(world)
        self.came.append(came)
        self.back.append([])

    def _with_an_end(self) -> int:
        to_do = [n for n, world in enumerate(self.worlds) if is_end(world, self.rules, self.scope)]
        reached = set(to_do)
        while to_do:
            for before in self.back[to_do.pop()]:
                if before not in reached:
                    reached.add(before)
                    to_do.append(before)
        return len(reached)


def search(rules: Rules, scope: Scope, *, only: str = "", ends: bool = False) -> Found:
    """Search these rules in this scope. Garbage is not collected: there is none, and looking for it takes longest."""
    gc.disable()
    try:
        return Search(rules, scope, only, ends).run()
    finally:
        gc.enable()
