"""Calls with followers: nobody stops looking at one that a person sent back while its followers were started."""

from __future__ import annotations

from dataclasses import replace

from state.agents.audit import Said
from state.options import Options
from tests.scripts.poster import Poster


def test_a_call_that_is_replayed_while_its_followers_are_started_is_looked_at_again(poster: Poster) -> None:
    said = Options(then=[{"task": "poster.post"}], otherwise=[{"task": "poster.post"}])
    call = replace(poster.call(), options=said.as_json())
    poster.register(call)
    poster.ledger.reject(call, {"error": "no", "stage": "input"}, 60_000, call.kwargs)
    [of] = poster.ledger.ended(poster.n.agent)
    assert of.state == "rejected"

    assert poster.ledger.replay(poster.n.agent, call.id, Said("replay", "somebody"), ())
    poster.ledger.let_go(of, [])

    assert poster.redis.zscore(poster.n.followed, call.id) is not None
    assert list(poster.ledger.ended(poster.n.agent)) == []


def test_a_call_whose_followers_are_started_is_let_go(poster: Poster) -> None:
    call = replace(poster.call(), options=Options(otherwise=[{"task": "poster.post"}]).as_json())
    poster.register(call)
    poster.ledger.reject(call, {"error": "no", "stage": "input"}, 60_000, call.kwargs)
    [of] = poster.ledger.ended(poster.n.agent)

    poster.ledger.let_go(of, [])

    assert poster.redis.zscore(poster.n.followed, call.id) is None
