"""The effect server is the tests' only witness, so it is tested first."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.effects.client import EffectServer
from tests.effects.truth import Truth
from tests.harness import until


@pytest.fixture
def post() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_an_effect_is_counted_and_answered_with_its_id_and_url(effects: EffectServer, post: requests.Session) -> None:
    answer = post.post(effects.url("story:one"), json={"title": "One"}, headers={"Idempotency-Key": "k1"})

    assert answer.status_code == 201
    assert answer.json()["url"] == effects.url("story:one")
    assert effects.count("story:one") == 1
    [row] = effects.rows()
    assert (row["id"], row["key"]) == (answer.json()["id"], "story:one")
    assert row["body"] == '{"title": "One"}'
    assert row["sha256"] == hashlib.sha256(b'{"title": "One"}').hexdigest()
    assert row["headers"]["idempotency-key"] == "k1"
    assert row["arrived_at"] <= row["applied_at"]


def test_the_same_key_twice_counts_two(effects: EffectServer, post: requests.Session) -> None:
    for _ in range(2):
        post.post(effects.url("story:twice"))

    assert effects.count("story:twice") == 2
    assert effects.counts() == {"story:twice": 2}
    assert effects.count("story:other") == 0


def test_a_key_may_hold_slashes_spaces_and_other_letters(effects: EffectServer, post: requests.Session) -> None:
    key = "reply:mail/inbox:Grüße an alle?#1"

    post.post(effects.url(key))

    assert effects.count(key) == 1


def test_an_effect_is_on_disk_before_it_is_answered(tmp_path: Path, post: requests.Session) -> None:
    server = EffectServer(tmp_path).start()
    try:
        post.post(server.url("story:durable"))
        server.kill9()

        with sqlite3.connect(tmp_path / "effects.sqlite") as table:
            assert table.execute("SELECT key FROM effects").fetchall() == [("story:durable",)]
        table.close()
        server.start()
        assert server.count("story:durable") == 1
    finally:
        server.stop()


@pytest.mark.parametrize("mode", ["apply_then_drop", "apply_then_reset"])
def test_a_connection_lost_after_the_effect_still_counts(
    effects: EffectServer, post: requests.Session, mode: str
) -> None:
    effects.mode(mode)

    with pytest.raises(requests.ConnectionError) as lost:
        post.post(effects.url("story:lost"))

    assert effects.count("story:lost") == 1
    assert ("reset" in str(lost.value)) == (mode == "apply_then_reset")


def test_a_server_error_after_the_effect_still_counts(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("apply_then_status:500")

    assert post.post(effects.url("story:500")).status_code == 500
    assert effects.count("story:500") == 1


def test_a_truncated_success_cannot_be_read_and_counts(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("truncate")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post.post(effects.url("story:cut"))

    assert effects.count("story:cut") == 1


def test_a_refusal_has_no_effect_and_says_when_to_come_back(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("refuse:429:30")

    answer = post.post(effects.url("story:no"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    assert effects.count("story:no") == 0
    assert effects.arrived("story:no") == 1


def test_a_delayed_request_is_in_flight_and_not_applied_until_released(
    effects: EffectServer, post: requests.Session
) -> None:
    effects.mode("delay:60")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post.post, effects.url("story:slow"))
        effects.wait_in_flight(1)

        assert effects.waiting() == ["story:slow"]
        assert effects.count() == 0
        effects.release("story:slow")

        assert answer.result(5).status_code == 201
    assert effects.count() == 1


def test_an_effect_delayed_afterwards_is_applied_before_its_answer(
    effects: EffectServer, post: requests.Session
) -> None:
    effects.mode("delay_after:60")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post.post, effects.url("story:slow"))
        effects.wait_in_flight(1)

        assert effects.count() == 1
        assert not answer.done()
        effects.release()

        assert answer.result(5).status_code == 201


def test_a_request_that_is_let_go_later_than_promised_is_not_applied(
    effects: EffectServer, post: requests.Session
) -> None:
    effects.mode("delay:0.5:0.1")

    with pytest.raises(requests.ConnectionError):
        post.post(effects.url("story:late"))

    assert (effects.count(), effects.arrived("story:late")) == (0, 1)
    effects.mode("delay:0.1:60")
    assert post.post(effects.url("story:soon")).status_code == 201


def test_a_delay_ends_by_itself(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("delay:0.05")

    assert post.post(effects.url("story:soon")).status_code == 201


def test_an_effect_happens_although_its_sender_is_gone(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("delay:60")

    with pytest.raises(requests.ReadTimeout):
        post.post(effects.url("story:late"), timeout=0.2)
    effects.release()

    until(lambda: effects.count("story:late") == 1, what="the late effect")


def test_clearing_abandons_requests_still_in_flight(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("delay:60")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post.post, effects.url("story:old"))
        effects.wait_in_flight(1)
        effects.clear()

        with pytest.raises(requests.ConnectionError):
            answer.result(5)
    assert effects.count() == 0
    assert post.post(effects.url("story:new")).status_code == 201


def test_a_request_that_arrived_before_everything_was_forgotten_is_not_applied(tmp_path: Path) -> None:
    truth = Truth(tmp_path / "effects.sqlite")
    era = truth.era

    truth.clear()

    assert truth.apply("story:late", b"{}", 0.0, {}, 1, era) is None
    assert truth.count() == 0
    assert truth.apply("story:new", b"{}", 0.0, {}, 1, truth.era)
    assert truth.count() == 1
    truth.close()


def test_a_mode_may_hold_for_one_key_only(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("refuse:503", key="story:bad")

    assert post.post(effects.url("story:bad")).status_code == 503
    assert post.post(effects.url("story:good")).status_code == 201


def test_a_mode_may_hold_for_the_next_requests_only(effects: EffectServer, post: requests.Session) -> None:
    effects.mode("refuse:503", for_next=2)

    assert [post.post(effects.url("story:again")).status_code for _ in range(3)] == [503, 503, 201]


def test_a_request_may_choose_its_own_mode(effects: EffectServer, post: requests.Session) -> None:
    url = effects.url("story:mine")

    assert post.post(f"{url}?mode=refuse:403").status_code == 403
    assert post.post(url, headers={"X-Effect-Mode": "refuse:401"}).status_code == 401
    assert post.post(url).status_code == 201


@pytest.mark.parametrize("mode", ["aplly_then_drop", "delay", "refuse:often", "ok:1"])
def test_a_mode_that_makes_no_sense_is_an_error(effects: EffectServer, mode: str) -> None:
    with pytest.raises(AssertionError, match="400"):
        effects.mode(mode)


def test_an_effect_can_be_looked_up_and_taken_back_and_still_counts(
    effects: EffectServer, post: requests.Session
) -> None:
    url = effects.url("story:undone")
    assert post.get(url).status_code == 404

    post.post(url, json={})
    assert post.get(url).json()["key"] == "story:undone"
    assert post.delete(url).json() == {"undone": 1}

    assert effects.count("story:undone") == 1
    assert effects.rows()[0]["undone"]


def test_many_at_once_are_all_counted(effects: EffectServer) -> None:
    together = threading.Barrier(16)

    def publish(number: int) -> int:
        together.wait(5)
        with requests.Session() as session:
            session.trust_env = False
            return session.post(effects.url(f"story:{number % 4}")).status_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(publish, range(16))) == [201] * 16

    assert effects.counts() == {f"story:{number}": 4 for number in range(4)}
    assert len({row["connection"] for row in effects.rows()}) == 16
