"""renew.lua: a lease lives as long as its holder says so."""

from __future__ import annotations

import pytest

from gatekeeper.policies.policy import Breaker
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import MINUTE, Poster


@pytest.mark.parametrize("line", ["before", "sending"])
def test_a_holder_prolongs_its_lease(poster: Poster, line: str) -> None:
    claim = poster.claim()
    if line == "sending":
        poster.cross(claim)
    poster.end_lease(claim)

    assert poster.renew(claim)

    lease = int(poster.key_of(claim)["lease_ms"])
    assert 0 <= poster.now() + 2 * MINUTE - lease < 10_000
    assert poster.redis.zscore(poster.n.running, claim.key) == lease


def test_a_renewed_claim_cannot_be_reclaimed_from_a_living_owner(poster: Poster) -> None:
    claim = poster.claim()
    poster.end_lease(claim)
    poster.renew(claim)

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

    assert not poster.renew(claim)

    assert poster.dump() == before


def test_a_renewed_probe_stays_the_only_one(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)
    probe = poster.claim("probe")
    poster.pass_time_for_breaker(2 * MINUTE)

    assert poster.renew(probe)

    assert poster.refused("other")["error"] == "breaker is probing"


def test_renewing_does_not_make_a_probe_of_any_other_attempt(poster_with: WithPolicies) -> None:
    poster = poster_with(breaker=Breaker(after=1, cooldown="5m"))
    slow = poster.claim("slow")
    poster.fail("fails")
    poster.pass_time_for_breaker(5 * MINUTE)

    poster.renew(slow)

    assert poster.claim("probe")
