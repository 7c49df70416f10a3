"""What the judge tells beside its table: requests without an answer, other bodies, and look-ups that lag."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.effects.client import EffectServer
from tests.harness import until
from tests.torture.verdict import judge


@pytest.fixture
def post() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_request_is_open_until_it_is_answered(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("delay_after:60")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post.post, effects.url("one"), json={}, headers={"X-Sender": "w1"})
        until(effects.waiting, what="the request to be held")
        [found] = effects.open()
        assert (found["key"], found["sender"]) == ("one", "w1")

        effects.release()

        assert answer.result().status_code == 201
    until(lambda: effects.open() == [], what="nothing to be open")


def test_other_bodies_of_a_key_are_counted_though_they_were_refused(
    effects: EffectServer, post: requests.Session
) -> None:
    effects.mode("refuse:429", for_next=2)
    for text in ("a", "b", "b"):
        post.post(effects.url("one"), json={"text": text})
    post.get(effects.url("one"))

    assert effects.asked() == {"one": {"requests": 3, "bodies": 2, "doubtful": 1, "lookups": 1}}


def test_a_body_that_a_503_answered_stays_in_doubt(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("refuse:503", for_next=1)
    for text in ("a", "b"):
        post.post(effects.url("one"), json={"text": text})

    assert effects.asked()["one"]["doubtful"] == 2


def test_a_look_up_knows_of_an_effect_only_after_its_lag(effects: EffectServer, post: requests.Session) -> None:
    post.post(effects.url("one"), json={})
    assert post.get(effects.url("one")).status_code == 200

    effects.look_up_lag(3600)
    assert post.get(effects.url("one")).status_code == 404

    effects.look_up_lag(None)
    assert post.get(effects.url("one")).status_code == 404


def test_the_verdict_names_every_broken_promise() -> None:
    asked = {"strike:twice": "strike", "strike:false": "strike", "strike:free": "strike", "sure:moving": "sure"}
    asked |= {"strike:good": "strike", "strike:doubt": "strike", "strike:gone": "strike", "chore:ok": "chore"}
    standing: dict[str, str | None] = {
        **dict.fromkeys(asked, "done"),
        "strike:free": "rejected",
        "sure:moving": "unknown",
    }
    standing |= {"strike:doubt": "unknown", "strike:gone": None}
    counts = {"strike:twice": 2, "strike:free": 1, "strike:good": 1, "sure:moving": 1, "strike:stranger": 1}

    verdict = judge(asked, standing, counts, {"strike:good": 1, "strike:twice": 2})

    assert verdict.broken == {
        "duplicates": ["strike:twice"],
        "lost": ["sure:moving", "strike:gone"],
        "falsely done": ["strike:false"],
        "falsely free": ["strike:free"],
        "never asked for": ["strike:stranger"],
        "reworded": ["strike:twice"],
    }
