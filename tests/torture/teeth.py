"""Teeth: each defence is taken out of a copy of the product, and the suite must go red for it.

The product has no switches. A tooth is a change of its text, which must fit exactly once; what a defence prevents is
looked for where it is expected, fault by fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.torture.result import Result
from tests.torture.runner import Runner, side_by_side
from tests.torture.scenario import chosen
from tests.torture.teeth_of_hosts import OF_HOSTS
from tests.torture.tooth import Change, Tooth


@dataclass(frozen=True)
class Bite:
    """What became of one tooth: the scenarios that were played, the last of which went red, if any did."""

    tooth: Tooth
    results: list[Result]

    @property
    def is_red(self) -> bool:
        return any(result.is_red for result in self.results)


def bite_all(source: Path, seed: int, only: list[str], jobs: int, tell: Callable[[Bite], None]) -> list[Bite]:
    """Take out one defence after the other, some side by side; `only` names teeth."""
    wanted = [tooth for tooth in TEETH if not only or tooth.name in only]
    return side_by_side(jobs, [partial(bite, tooth, source, seed) for tooth in wanted], tell)


def bite(tooth: Tooth, source: Path, seed: int) -> Bite:
    """Play a tooth's scenarios until one goes red."""
    results: list[Result] = []
    with tooth.build(source) as build:
        for scenario in chosen(list(tooth.scenarios)):
            results.append(Runner(seed, long=False, root=build.folder).play(scenario))
            if results[-1].is_red:
                break
    return Bite(tooth, results)


TEETH = (
    Tooth(
        "no fence",
        "the compare-and-set takes whoever comes, however late",
        (
            Change(
                "state/scripts/begin_effect.lua",
                "if key.owner ~= A.owner or key.fence ~= A.fence then",
                "if false then",
            ),
        ),
        ("claims_taken_by_a_clock", "stopped_while_the_heir_sends"),
    ),
    Tooth(
        "no epoch",
        "Redis is believed whatever it lost",
        (
            Change(
                "state/scripts/admit.lua",
                "  local why, must_compare = A.closed_reason, false\n",
                "  local why, must_compare = nil, false\n  if true then\n    return nil\n  end\n",
            ),
            Change(
                "state/scripts/begin_effect.lua",
                'elseif A.epoch ~= "" and not is_same_ledger(K.ledger, A.epoch) then',
                "elseif false then",
            ),
        ),
        ("store_emptied", "rolled_back"),
    ),
    Tooth(
        "journal after the compare-and-set",
        "the intent is written down only when Redis has agreed",
        (
            Change(
                "state/ledger/attempt.py",
                "            events.intent(self.journal, call, claim, payload, limits.verify)\n            here =",
                "            here =",
            ),
            Change(
                "state/ledger/attempt.py",
                "                events=history,\n            )\n        finally:",
                "                events=history,\n            )\n"
                "            events.intent(self.journal, call, claim, payload, limits.verify)\n"
                "        finally:",
            ),
        ),
        ("emptied_before_the_send",),
    ),
    Tooth(
        "no drain",
        "a look-up that finds nothing counts at once, though the request may still be on its way",
        (
            Change("state/scripts/reconcile.lua", " or began < gone + verify.drain_ms", ""),
            Change(
                "state/scripts/reconcile.lua",
                "math.max(verify.every_ms, gone + verify.drain_ms - began)",
                "verify.every_ms",
            ),
        ),
        ("late_delivery", "lagging_look_ups"),
    ),
    Tooth(
        "no death proof",
        "a look-up that finds nothing counts, though the owner may still wake and send",
        (
            Change(
                "state/scripts/reconcile.lua",
                'if not gone and (A.owner_is_dead == "1" or (is_reported and A.knew_death == "1")) then',
                "if not gone then",
            ),
        ),
        ("stopped_at_the_first_byte",),
    ),
    Tooth(
        "release on error",
        "whatever error comes back, the key is free again",
        (
            Change(
                "gatekeeper/run/execution.py",
                'if attempt.phase == "before" or proves_nothing_was_sent(',
                "if True or proves_nothing_was_sent(",
            ),
        ),
        ("broken_answers",),
    ),
    Tooth(
        "TTL takeover",
        "a claim whose time is over is given to the next, whether it was sending or not",
        (
            Change(
                "state/scripts/reclaim.lua",
                'if state == "sending" then\n  to, why',
                'if state == "gone" then\n  to, why',
            ),
        ),
        ("killed_in_flight", "stopped_in_mid_request"),
    ),
    Tooth(
        "no journal",
        "nothing is written down but in Redis",
        (
            Change(
                "state/ledger/attempt.py",
                "            events.intent(self.journal, call, claim, payload, limits.verify)\n",
                "",
            ),
        ),
        ("store_emptied", "emptied_before_the_send"),
    ),
    Tooth(
        "no frozen payload",
        "each attempt sends what it made itself",
        (
            Change(
                "gatekeeper/run/effect.py",
                "frozen = self._attempt.claim.payload or self._attempt.claim.approved or mine",
                "frozen = mine",
            ),
        ),
        ("reworded_retries",),
    ),
    Tooth(
        "no approved payload",
        "an approved attempt sends what it made itself",
        (
            Change(
                "gatekeeper/run/effect.py",
                "frozen = self._attempt.claim.payload or self._attempt.claim.approved or mine",
                "frozen = self._attempt.claim.payload or mine",
            ),
            Change(
                "gatekeeper/run/permission.py",
                'if mode == "observe" or (mode == "ask" and attempt.claim.approved != payload):',
                'if mode == "observe" or (mode == "ask" and not attempt.claim.approved):',
            ),
            Change(
                "state/scripts/begin_effect.lua",
                "key.approved == key.revision and key.proposal == payload",
                "key.approved == key.revision",
            ),
        ),
        ("killed_around_approvals",),
    ),
    Tooth(
        "no question",
        "an effect that nobody approved is sent",
        (
            Change(
                "gatekeeper/run/permission.py",
                'if mode == "observe" or (mode == "ask" and attempt.claim.approved != payload):',
                'if mode == "observe":',
            ),
            Change(
                "state/scripts/begin_effect.lua",
                'if mode ~= "act" and not (mode == "ask" and is_approved) then',
                'if mode == "observe" then',
            ),
        ),
        ("killed_around_approvals",),
    ),
    Tooth(
        "no sweeper",
        "a call whose message is gone is not sent again",
        (
            Change(
                "workers/sweeper.py",
                "for due in self._ledger.due(agent, registered(), self._queue_is_empty, arrived_ms):",
                "for due in []:",
            ),
        ),
        ("broker_emptied",),
    ),
    Tooth(
        "no register of revokes",
        "what a person revokes is kept in the memory of the workers, as Celery does",
        (
            Change("workers/control.py", "        if not ids:\n", "        if True:\n"),
            Change("workers/application.py", "    control.install()\n", ""),
        ),
        ("revoked_then_restarted",),
    ),
    Tooth(
        "a store that is away costs an attempt",
        "an attempt that met a Redis that was away counts as failed, and effects have one",
        (Change("gatekeeper/run/ending.py", "if store_was_away(error):", "if False:"),),
        ("stopped_and_killed_under_a_stream",),
    ),
    Tooth(
        "no takeover of open calls",
        "a journal that begins anew takes over what was sent, and forgets what was only accepted",
        (Change("state/recovery/takeover.py", "    yield from _open_calls(redis, n)\n", ""),),
        ("journal_begun_anew",),
    ),
    Tooth(
        "a message decides what a call is",
        "whatever arguments a message carries run under the id that it carries",
        (
            Change(
                "state/scripts/admit.lua",
                "  if is_registered and (call.task ~= A.task or (fingerprint ~= A.fingerprint and kwargs ~= A.sent_kwargs)) then",
                "  if false then",
            ),
            Change("state/scripts/admit.lua", "  if call.key and call.key ~= A.key then", "  if false then"),
            Change("state/scripts/admit.lua", "  if due and tonumber(due) > now then", "  if false then"),
        ),
        ("forged_messages",),
    ),
    Tooth(
        "whatever fits nothing ends its call",
        "a message whose arguments do not fit rejects the call whose id it carries",
        (
            Change(
                "state/scripts/reject.lua",
                """elseif call.fingerprint and call.fingerprint ~= "" and (call.task ~= A.task or call.kwargs ~= A.sent_kwargs) then""",
                "elseif false then",
            ),
        ),
        ("forged_messages",),
    ),
    Tooth(
        "unread messages",
        "Celery gets each message as it stands in the queue",
        (
            Change("workers/consumer.py", "                reading.read(message)\n", "                pass\n"),
            Change("workers/broker.py", "            check(message)\n", "            pass\n"),
            Change("workers/application.py", "    broker.install()\n", ""),
        ),
        ("unreadable_messages",),
    ),
    *OF_HOSTS,
)
