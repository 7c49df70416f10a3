"""One intent under fire: many equal requests at once, a web process that is killed in the middle, and a store that is away."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.programs import TOKENS, Program, fresh, problem

pytestmark = pytest.mark.slow

MANY = 50
BROKEN_OFF, NOT_THERE = 0, -1


def send(program: Program, key: str, post: str) -> tuple[int, str]:
    """Ask for one story; return the status and the call: BROKEN_OFF if the web process died meanwhile, NOT_THERE if before."""
    try:
        answer = program.call("storyteller.publish", key, post_id=post)
    except ConnectionRefusedError:
        return NOT_THERE, ""
    except (ConnectionError, http.client.HTTPException, TimeoutError):
        return BROKEN_OFF, ""
    return answer.status, str(answer.content.get("call", ""))


def start(install: Install) -> Program:
    install.env["API_TOKENS"] = TOKENS
    install.web()
    return Program(install)


def test_fifty_equal_requests_at_once_are_one_call_with_one_effect(install: Install, effects: EffectServer) -> None:
    owner, key = start(install), fresh()
    install.worker()

    with ThreadPoolExecutor(MANY) as pool:
        found = Counter(pool.map(lambda _: send(owner, key, "fire"), range(MANY)))

    assert {status for status, _ in found} <= {200, 202, 409}
    assert sum(count for (status, _), count in found.items() if status == 202) == 1
    assert len({call for _, call in found}) == 1
    until(lambda: send(owner, key, "fire")[0] == 200, 20, "the stored answer")
    assert effects.counts() == {"story:fire": 1}


def test_fifty_requests_without_a_header_have_one_effect_by_the_key_of_the_task(
    install: Install, effects: EffectServer
) -> None:
    owner = start(install)
    install.worker()

    with ThreadPoolExecutor(MANY) as pool:
        found = Counter(pool.map(lambda _: send(owner, "", "bare")[0], range(MANY)))

    assert found == {202: MANY}
    until(
        lambda: owner.call("storyteller.publish", wait=5, post_id="bare").content["ok"], 20, "the effect to be replayed"
    )
    assert effects.counts() == {"story:bare": 1}


def test_a_web_process_killed_under_requests_loses_no_accepted_call_and_doubles_none(
    install: Install, effects: EffectServer
) -> None:
    owner = start(install)
    install.worker()
    found: dict[str, tuple[int, str]] = {}

    def send_until_it_dies(sender: int) -> None:
        """Ask for one story after the other, so that the death interrupts each sender whenever it comes."""
        for number in range(MANY):
            name = f"{sender}-{number}"
            found[name] = send(owner, name, name)
            if found[name][0] in {BROKEN_OFF, NOT_THERE}:
                return

    with ThreadPoolExecutor(MANY // 2) as pool:
        asked = [pool.submit(send_until_it_dies, sender) for sender in range(MANY // 2)]
        until(lambda: any(status == 202 for status, _ in list(found.values())), 20, "a first call")
        install.processes[0].kill9()
        for each in asked:
            each.result()
    assert any(status == BROKEN_OFF for status, _ in found.values()), (
        "the process was killed too late to interrupt anything"
    )
    install.web()
    again = {name: send(owner, name, name) for name in found}

    for key, (status, call) in found.items():
        assert again[key][0] in ({200, 409} if status == 202 else {200, 202, 409})
        assert call in {"", again[key][1]}
    until(lambda: all(send(owner, name, name)[0] == 200 for name in found), 60, "every answer")
    assert effects.counts() == {f"story:{name}": 1 for name in found}


def test_without_the_store_nothing_is_accepted_and_the_same_request_is_accepted_later(
    fragile_valkey: Valkey, install_on: Callable[[Valkey], Install], effects: EffectServer
) -> None:
    install = install_on(fragile_valkey)
    owner, key = start(install), fresh()

    fragile_valkey.stop()
    refused = owner.call("storyteller.publish", key, post_id="away")
    fragile_valkey.start()
    until(lambda: owner.get("/api/agents").status == 200, 20, "the store")
    accepted = owner.call("storyteller.publish", key, post_id="away")

    assert "nothing was accepted" in problem(refused, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert accepted.status == 202
    install.worker()
    until(lambda: send(owner, key, "away")[0] == 200, 60, "the answer")
    assert effects.count("story:away") == 1


def test_a_call_that_the_journal_cannot_hold_is_not_accepted(install: Install) -> None:
    owner = start(install)
    journal = install.state_dir / "journal"
    for file in journal.glob("*.jsonl"):
        file.unlink()
    journal.rename(install.state_dir / "elsewhere") if journal.exists() else None
    journal.write_text("a file where a folder must be")

    assert "nothing was accepted" in problem(owner.call("storyteller.publish", fresh(), post_id="full"), 503)
    assert owner.get("/api/keys/story:full").status == 404
