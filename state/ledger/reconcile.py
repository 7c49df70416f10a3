"""The consequences of a look-up at the provider for an effect in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis

from state.journal import events as evidence
from state.journal.journal import Journal
from state.ledger.owner import Moment
from state.model import Claim
from state.redis.keys import Keys
from state.redis.script import Script

#: Look-ups without a proof, either way, after which a person is asked.
MAX_LOOKS = 20
#: How often one key may be sent again because it was proven absent: more often points to a fault.
MAX_PROOFS = 3

_reconcile = Script("reconcile")


def record(
    redis: Redis,
    journal: Journal,
    claim: Claim,
    *,
    absent: bool,
    dead: bool,
    began: Moment,
    events: Sequence[str],
    away_ms: int | None = None,
) -> list[Any]:
    """Note a look-up that did not find the effect; `dead` is whether its owner was proven dead before the look-up began.

    `away_ms` is how many ms a provider that is away asks to be left alone; None if it did not ask.

    Answers ["unknown", ms until the next look-up], ["waiting"] (proven absent: it is sent again), ["held", why], or
    ["kept", state] if the key was decided meanwhile.
    """
    answered = "absent" if absent else "failed" if away_ms is None else "away"
    answer = _reconcile(
        redis,
        Keys(claim.agent).of(claim.key, claim.call),
        key=claim.key,
        call=claim.call,
        owner=claim.owner,
        fence=claim.fence,
        answer=answered,
        owner_is_dead=int(dead),
        boot=began.boot,
        boot_ms=began.ms,
        max_lookups=MAX_LOOKS,
        max_resends=MAX_PROOFS,
        away_ms=away_ms or 0,
        events=events,
    )
    if answer[0] == "waiting":
        evidence.absent(journal, claim)
    elif answer[0] == "held":
        evidence.held(journal, claim.agent, claim.key, claim.call, claim.fence, str(answer[1]))
    return answer
