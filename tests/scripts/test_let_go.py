"""Calls with followers: nobody stops looking at one that a person sent back while its followers were started."""

from __future__ import annotations

from dataclasses import replace

from state.ledger import followers, resolve
from state.options import Options
from tests.scripts.poster import Poster


def test_a_call_that_is_replayed_while_its_followers_are_started_is_looked_at_again(poster: Poster) -> None:
    said = Options(then=[{"task": "poster.post"}], otherwise=[{"task": "poster.post"}])
    call = replace(poster.call(), options=said.as_json())
    poster.register(call)
    poster.ledger.reject(call, {"error": "no", "stage": "input"}, 60_000, call.kwargs)
    [of] = followers.ended(poster.redis, poster.n.agent)
    assert of.state == "rejected"

    assert resolve.replay(poster.redis, poster.ledger.journal, poster.n.agent, call.id, "somebody", ())
    followers.let_go(poster.redis, poster.ledger.journal, of, [])

    assert poster.redis.zscore(poster.n.followed, call.id) is not None
    assert list(followers.ended(poster.redis, poster.n.agent)) == []


def test_a_call_whose_followers_are_started_is_let_go(poster: Poster) -> None:
    call = replace(poster.call(), options=Options(otherwise=[{"task": "poster.post"}]).as_json())
    poster.register(call)
    poster.ledger.reject(call, {"error": "no", "stage": "input"}, 60_000, call.kwargs)
    [of] = followers.ended(poster.redis, poster.n.agent)

    followers.let_go(poster.redis, poster.ledger.journal, of, [])

    assert poster.redis.zscore(poster.n.followed, call.id) is None
