"""`celery -A workers gate …`: what each command answers, in words and in JSON, and how it says no."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.shell import Shell

STATES = {"queued", "claimed", "sending", "done", "waiting", "unknown", "held", "rejected", "cancelled"}

HEAD = {"agent", "revision", "updated_at", "last_run", "errors", "metrics", "paused", "held"}


@pytest.fixture(scope="module", autouse=True)
def lived(house: Install, shell: Shell, effect_server: EffectServer) -> None:
    """Something has happened: a post, a doubt, an error. No worker is needed for it."""
    effect_server.clear()
    effect_server.mode("apply_then_reset", key="post:torn")
    shell.run(
        """
        import clerk
        clerk.post(post_id="hello")
        for task, kwargs in ((clerk.post, {"post_id": "torn"}), (clerk.complain, {"words": "something broke"})):
            try:
                task(**kwargs)
            except Exception:
                pass
        """
    )


def gates(shell: Shell, *commands: tuple[str, ...]) -> list[CompletedProcess[str]]:
    return [shell.celery("gate", *command) for command in commands]


def refused(done: CompletedProcess[str]) -> str:
    """A command that failed says why: on stderr in one line, as JSON on stdout, and by its exit code."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    said: str = json.loads(done.stdout)["error"]
    assert said in done.stderr
    return said


# status


def test_status_lists_every_agent_with_the_head_of_its_file(shell: Shell) -> None:
    in_json, in_words, of_one = gates(shell, ("status", "--json"), ("status",), ("status", "clerk", "--json"))

    heads: list[dict[str, Any]] = json.loads(in_json.stdout)
    assert [head["agent"] for head in heads] == sorted(head["agent"] for head in heads)
    assert {"publisher", "clerk", "storyteller", "counter"} <= {head["agent"] for head in heads}
    for head in heads:
        assert set(head) >= HEAD
    [clerk] = [head for head in heads if head["agent"] == "clerk"]
    assert [clerk] == json.loads(of_one.stdout)
    assert [held["key"] for held in clerk["held"]] == ["post:torn"]
    assert set(clerk["held"][0]) >= {"key", "state", "since", "why"}
    assert clerk["metrics"]["total_published"] == 1
    assert "something broke" in clerk["errors"][0]["error"]
    for word in ("clerk", "post:torn", "unknown", "something broke", "published 1"):
        assert word in in_words.stdout


# explain


def test_explain_tells_the_story_of_a_key_in_order(shell: Shell) -> None:
    [done, in_words] = gates(shell, ("explain", "post:hello", "--json"), ("explain", "post:hello"))

    told = json.loads(done.stdout)
    assert set(told) >= {"key", "agent", "task", "state", "attempts", "result", "story"}
    assert (told["key"], told["agent"], told["task"], told["state"], told["attempts"]) == (
        "post:hello",
        "clerk",
        "clerk.post",
        "done",
        1,
    )
    assert told["result"]["url"].endswith("/post:hello")
    events = [event["event"] for event in told["story"]]
    assert events == ["arrived", "claimed", "sending", "applied", "done"]
    times = [event["at"] for event in told["story"]]
    assert all(time.endswith("Z") for time in times)
    assert times[-1] >= times[0]
    for word in ("post:hello", "DONE", "clerk.post", "arrived", "applied"):
        assert word in in_words.stdout


def test_explain_tells_why_a_key_is_in_doubt_and_what_was_sent(shell: Shell) -> None:
    told = shell.gate("explain", "post:torn")

    assert told["state"] == "unknown"
    assert "reset" in told["why"].lower() or "aborted" in told["why"].lower()
    assert told["payload"] == {"post_id": "torn"}
    assert told["story"][-1]["event"] == "unknown"


def test_explain_takes_a_call_too(shell: Shell) -> None:
    [call] = shell.delay("counter.add", {"a": 2, "b": 3})

    told = shell.gate("explain", call)

    assert told["call"] == call
    assert told["key"] == f"counter.add:{call}"
    assert told["state"] == "queued"
    assert told["story"][0]["event"] == "registered"


def test_explain_of_a_key_that_nobody_knows_fails(shell: Shell) -> None:
    [done] = gates(shell, ("explain", "post:nobody", "--json"))

    assert "post:nobody" in refused(done)


def test_every_state_that_explain_answers_is_one_of_the_documented(shell: Shell) -> None:
    for key in ("post:hello", "post:torn"):
        assert shell.gate("explain", key)["state"] in STATES


# pause, resume, stop-all


def test_pause_holds_until_resume_and_says_who_and_why(house: Install, shell: Shell) -> None:
    paused = shell.gate("pause", "clerk", "--why", "looking at the numbers")
    answer = shell.run("import clerk; answer = clerk.post(post_id='while-paused')")

    assert paused["paused"] is True
    assert paused["pause"]["why"] == "looking at the numbers"
    assert paused["pause"]["by"]
    assert house.state("clerk")["paused"] is True, "a person who pauses looks at the file at once"
    assert (answer["ok"], answer["error"], answer["stage"]) == (False, "paused", "paused")

    resumed, again = shell.gate("resume", "clerk"), shell.gate("resume", "clerk")

    assert resumed["paused"] is False
    assert again["paused"] is False
    assert house.state("clerk")["paused"] is False
    assert shell.run("import clerk; answer = clerk.post(post_id='hello')")["replayed"]


def test_stop_all_pauses_every_agent(shell: Shell) -> None:
    answer = shell.gate("stop-all")

    heads = shell.gate("status")
    assert (
        {head["agent"] for head in heads if head["paused"]}
        == {head["agent"] for head in heads}
        == set(answer["paused"])
    )

    resumed, again = shell.gate("resume", "--all"), shell.gate("resume", "--all")

    assert set(resumed["resumed"]) == set(answer["paused"])
    assert again["resumed"] == []
    assert not any(head["paused"] for head in shell.gate("status"))


def test_a_second_pause_keeps_the_first_reason_and_says_so(shell: Shell) -> None:
    first = shell.gate("pause", "clerk", "--why", "looking at the numbers")["pause"]

    [again, stopped] = gates(shell, ("pause", "clerk", "--why", "again"), ("stop-all", "--why", "everything"))

    assert again.returncode == stopped.returncode == 0
    assert "is paused already" in again.stdout
    assert "looking at the numbers" in again.stdout
    [head] = shell.gate("status", "clerk")
    assert head["pause"] == first
    shell.gate("resume", "--all")


@pytest.mark.parametrize("words", [("resume",), ("resume", "clerk", "--all")])
def test_resume_takes_one_agent_or_all(shell: Shell, words: tuple[str, ...]) -> None:
    [done] = gates(shell, words)

    assert done.returncode == 2
    assert "--all" in done.stderr


def test_pause_needs_a_reason_and_an_agent_that_exists(shell: Shell) -> None:
    no_reason, nobody, nobody_else = gates(
        shell, ("pause", "clerk"), ("pause", "nobody", "--why", "x", "--json"), ("resume", "nobody", "--json")
    )

    assert no_reason.returncode == 2
    assert "--why" in no_reason.stderr
    for done in (nobody, nobody_else):
        assert "nobody" in refused(done)
        assert "clerk" in refused(done)


# run


def test_run_starts_one_entry_now_under_a_tick_of_its_own(shell: Shell) -> None:
    answer = shell.gate("run", "publish")

    assert answer["entry"] == "publish"
    assert answer["task"] == "tasks.publisher.publish_next"
    due = datetime.fromisoformat(answer["due"])
    assert abs((datetime.now(UTC) - due).total_seconds()) < 30
    assert answer["call"] == f"tick:publish:{due:%Y-%m-%dT%H:%M:%SZ}"
    told = shell.gate("explain", answer["call"])
    assert told["state"] == "queued"
    assert told["story"][0]["door"] == "gate run"


def test_run_for_one_due_time_starts_it_once(shell: Shell) -> None:
    due = ("run", "publish", "--due", "2026-11-22T06:00Z", "--json")
    first, second = gates(shell, due, due)

    assert json.loads(first.stdout)["call"] == json.loads(second.stdout)["call"] == "tick:publish:2026-11-22T06:00:00Z"
    sent = shell.run(
        """
        from state.redis import client as store
        messages = store.client().lrange("celery", 0, -1)
        answer = sum("tick:publish:2026-11-22T06:00:00Z" in message for message in messages)
        """
    )
    assert sent == 1


def test_run_refuses_an_entry_and_a_time_that_make_no_sense(shell: Shell) -> None:
    nobody, no_time = gates(shell, ("run", "pubish", "--json"), ("run", "publish", "--due", "yesterday", "--json"))

    assert "publish" in refused(nobody)
    assert "yesterday" in refused(no_time)


# As a person types them, and when the system is not there or wrongly set


def elsewhere(house: Install, name: str, **env: str) -> Install:
    """The same installation with other settings."""
    made = Install(house.folder / name, house.redis_url, task_modules=("clerk",))
    made.env.update(env)
    return made


def test_commands_work_and_fail_in_a_terminal_as_they_do_here(house: Install) -> None:
    """Every other test in this file calls the same commands in a process that is already there."""
    broken = {
        "WEB_PORT='http' is not a port": elsewhere(house, "port", WEB_PORT="http"),
        "REDIS_URL must start with redis://": elsewhere(house, "url", REDIS_URL="redis//localhost"),
        "TASK_MODULES names 'nowhere'": elsewhere(house, "modules", TASK_MODULES="clerk,nowhere"),
    }
    away = elsewhere(house, "away", REDIS_URL=f"unix://{house.folder}/nobody.sock")
    with ThreadPoolExecutor(3) as pool:
        good = pool.submit(house.celery, "gate", "status", "clerk", "--json")
        unreachable = pool.submit(away.celery, "gate", "status", "--json")
        refusals = {says: pool.submit(install.celery, "gate", "status") for says, install in broken.items()}

    assert good.result().returncode == 0
    assert json.loads(good.result().stdout)[0]["agent"] == "clerk"
    said = refused(unreachable.result())
    assert "Redis" in said
    assert "REDIS_URL" in said or "make up" in said
    for says, refusal in refusals.items():
        done = refusal.result()
        assert done.returncode != 0
        assert says in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
    for install in (*broken.values(), away):
        install.close()
