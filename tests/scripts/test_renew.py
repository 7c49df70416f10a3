"""renew.lua: a lease lives as long as its holder says so."""

from __future__ import annotations

import pytest

from tests.scripts.poster import MINUTE, Poster
from state.ledger import Scope

TWO_MINUTES = Scope(policy="{}", lease_ms=2 * MINUTE, breaker="gate:{poster}:breaker:none")


@pytest.mark.parametrize("line", ["before", "sending"])
def test_a_holder_prolongs_its_lease(poster: Poster, line: str) -> None:
    claim = poster.claim()
    if line == "sending":
        poster.cross(claim)
    poster.end_lease(claim)

    assert poster.ledger.renew(claim, TWO_MINUTES)

    lease = int(poster.key_of(claim)["lease_ms"])
    assert 0 <= poster.now() + 2 * MINUTE - lease < 10_000
    assert poster.redis.zscore(poster.n.running, claim.key) == lease


def test_a_renewed_claim_cannot_be_reclaimed_from_a_living_owner(poster: Poster) -> None:
    claim = poster.claim()
    poster.end_lease(claim)
    poster.ledger.renew(claim, TWO_MINUTES)

    assert poster.reclaim(claim, dead=False) == "kept"


@pytest.mark.parametrize("end", ["reclaimed", "settled", "taken over", "gone"])
def test_a_lost_claim_is_not_renewed_and_nothing_changes(poster: Poster, end: str) -> None:
    call = poster.register()
    claim = poster.claim(call)
    match end:
        case "reclaimed":
            poster.reclaim(claim, dead=True)
        case "settled":
            poster.settle(claim)
        case "taken over":
            poster.reclaim(claim, dead=True)
            poster.claim(call)
        case "gone":
            poster.redis.flushall()
    before = poster.dump()

    assert not poster.ledger.renew(claim, TWO_MINUTES)

    assert poster.dump() == before
