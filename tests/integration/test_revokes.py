"""A call that is revoked never runs, whichever door the word came through, and whoever is restarted afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import redis
from celery import Celery

from state.redis.keys import Keys
from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, patient, until
from tests.harness.shell import Shell

N = Keys("mailer")
ADD = "answer = app.tasks['counter.add'].apply_async(kwargs={'a': 1, 'b': 2}, countdown=3600).id"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    effect_server.clear()
    server = a_valkey()
    made = Install(
        tmp_path_factory.mktemp("house"),
        server.url,
        task_modules=["mailer", "counter"],
        env={"EFFECTS_URL": effect_server.base_url},
    )
    yield made
    made.close()
    server.close()


@pytest.fixture(autouse=True)
def _no_worker_stays(house: Install) -> Iterator[None]:
    yield
    for process in house.processes:
        process.kill9()


def later(shell: Shell, to: str, task: str = "mailer.mail", **options: Any) -> str:
    """A call whose time comes in an hour, unless told otherwise."""
    call: str = shell.run(
        "answer = app.tasks[task].apply_async(kwargs=kwargs, **options).id",
        task=task,
        kwargs={"to": to},
        options={"countdown": 3600} | options,
    )
    return call


def journaled(house: Install, call: str) -> list[dict[str, Any]]:
    """What the journal says of the ends of a call."""
    lines = [line for path in (house.state_dir / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if (record["event"], record.get("call")) == ("ended", call)]


def flower(house: Install, path: str) -> tuple[int, str]:
    request = Request(f"{house.flower_url}{path}", b"", method="POST")
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=patient(10)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


# Every door, with no worker at all


def by_celery_control(house: Install, shell: Shell, call: str) -> None:
    done = shell.celery("control", "revoke", call)
    assert done.returncode == 0, done.stderr
    assert f"call {call} is cancelled" in done.stdout


def by_celery_terminate(house: Install, shell: Shell, call: str) -> None:
    assert shell.celery("control", "terminate", "KILL", call).returncode == 0


def by_python(house: Install, shell: Shell, call: str) -> None:
    shell.run("app.control.revoke(call)", call=call)


def by_python_terminate(house: Install, shell: Shell, call: str) -> None:
    shell.run("app.control.terminate([call, call], signal='SIGKILL')", call=call)


def by_a_result(house: Install, shell: Shell, call: str) -> None:
    shell.run("app.AsyncResult(call).revoke(terminate=True)", call=call)


def by_a_group(house: Install, shell: Shell, call: str) -> None:
    shell.run(
        "from celery.result import GroupResult\nGroupResult('g', [app.AsyncResult(call)], app=app).revoke()", call=call
    )


DOORS = [by_celery_control, by_celery_terminate, by_python, by_python_terminate, by_a_result, by_a_group]


@pytest.mark.parametrize("revoke", DOORS)
def test_a_revoke_is_in_register_and_journal_at_once_though_no_worker_runs(
    house: Install, shell: Shell, store: redis.Redis, revoke: Callable[[Install, Shell, str], None]
) -> None:
    to = revoke.__name__
    call = later(shell, to)

    revoke(house, shell, call)

    assert store.hget(N.call(call), "state") == "cancelled"
    assert store.hget(N.key(f"mail:{to}"), "state") == "cancelled"
    assert store.zscore(N.waiting, call) is None
    assert [(record["state"], record["key"]) for record in journaled(house, call)] == [("cancelled", f"mail:{to}")]
    assert shell.run("answer = app.AsyncResult(call).status", call=call) == "REVOKED"


def test_a_revoke_that_is_said_twice_is_written_down_once(house: Install, shell: Shell) -> None:
    call = later(shell, "twice")
    shell.run("app.control.revoke(call)", call=call)

    said = shell.run("answer = app.control.revoke(call, reply=True)", call=call)

    assert said == [{"register": {"ok": f"call {call} was cancelled before"}}]
    assert len(journaled(house, call)) == 1


def test_several_calls_of_several_agents_are_revoked_at_once(house: Install, shell: Shell, store: redis.Redis) -> None:
    calls = [later(shell, "several"), shell.run(ADD)]

    done = shell.celery("control", "revoke", *calls)

    assert done.returncode == 0, done.stderr
    assert store.hget(N.call(calls[0]), "state") == "cancelled"
    assert store.hget(Keys("counter").call(calls[1]), "state") == "cancelled"


def test_the_key_of_a_revoked_call_is_kept_until_a_person_frees_it(house: Install, shell: Shell) -> None:
    call = later(shell, "freed")
    said = shell.celery("control", "revoke", call).stdout
    assert "gatehouse resolve mail:freed --not-applied" in said

    told = house.explain("mail:freed")

    assert told["state"] == "cancelled"
    assert "celery control" in told["story"][-1]["by"]


def test_stamps_are_refused_with_what_to_do_instead(shell: Shell) -> None:
    words = shell.run(
        """
        try:
            app.control.revoke_by_stamped_headers({"team": "red"})
        except Exception as error:
            answer = str(error)
        """
    )

    assert "nothing was revoked" in words
    assert "control revoke ID" in words


def test_a_call_cannot_be_made_under_an_id_that_was_revoked_before(shell: Shell) -> None:
    words = shell.run(
        """
        app.control.revoke("too-early")
        try:
            app.tasks["mailer.mail"].apply_async(kwargs={"to": "early"}, task_id="too-early")
        except ValueError as error:
            answer = str(error)
        except TypeError as error:
            answer = str(error)
        """
    )

    assert "was revoked before this call was made" in words
    explained = shell.celery("gate", "explain", "too-early", "--json")
    assert json.loads(explained.stdout)["state"] == "cancelled"


# With workers


def test_no_restart_forgets_a_revoke(
    house: Install, shell: Shell, effect_server: EffectServer, store: redis.Redis
) -> None:
    first = house.worker()
    call = later(shell, "ada", countdown=3)
    assert shell.celery("control", "revoke", call).returncode == 0
    first.kill9()
    house.worker()
    call_of_another = later(shell, "bob", countdown=4)

    until(lambda: effect_server.counts().get("mail:bob"), 15, "the call that was not revoked")

    assert house.answer(call_of_another)["ok"]
    assert "mail:ada" not in effect_server.counts()
    assert store.hget(N.call(call), "state") == "cancelled"


def test_the_broadcast_of_a_foreign_client_is_written_down_by_the_workers(
    house: Install, shell: Shell, stranger: Celery, store: redis.Redis
) -> None:
    house.worker()
    call = later(shell, "foreign")

    said = stranger.control.revoke(call, reply=True, limit=1, timeout=patient(3)) or []

    texts = [text for answer in said for reply in answer.values() for text in reply.values()]
    assert any("is cancelled" in text for text in texts), said
    assert all("cancelled" in text for text in texts), said
    assert store.hget(N.call(call), "state") == "cancelled"
    assert len(journaled(house, call)) == 1


def test_a_call_that_waits_for_its_next_attempt_is_revoked(house: Install, shell: Shell, store: redis.Redis) -> None:
    house.worker()
    call = shell.delay("mailer.mail_again", {"to": "carl"})[0]
    until(lambda: store.hget(N.call(call), "state") == "waiting", 15, "the first attempt to fail")

    shell.run("app.AsyncResult(call).revoke()", call=call)

    assert store.hgetall(N.key("again:carl"))["state"] == "cancelled"
    assert store.zscore(N.waiting, call) is None


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("terminate", [False, True])
def test_a_call_that_has_begun_is_refused_clearly_and_runs_on(
    house: Install,
    shell: Shell,
    stranger: Celery,
    effect_server: EffectServer,
    store: redis.Redis,
    place: str,
    terminate: bool,
) -> None:
    to = f"{place}{terminate}".lower()
    house.worker("prefork")
    if place == "behind":
        (house.notes_dir / f"before-{to}").touch()
    call = shell.delay("mailer.mail_slowly", {"to": to})[0]
    until((house.notes_dir / f"{place}-{to}.here").exists, 15, "the attempt to be there")

    words = ["terminate", "KILL"] if terminate else ["revoke"]
    done = shell.celery("control", *words, call)
    foreign = stranger.control.revoke(
        call, terminate=terminate, signal="SIGKILL", reply=True, limit=1, timeout=patient(2)
    )
    for where in ("before", "behind"):
        (house.notes_dir / f"{where}-{to}").touch()

    assert done.returncode != 0
    assert "has begun" in done.stdout + done.stderr
    assert f"gatehouse explain {call}" in done.stdout + done.stderr
    assert any("has begun" in str(answer) for answer in foreign or []), foreign
    assert house.answer(call, 20)["ok"]
    assert effect_server.counts()[f"slow:{to}"] == 1
    assert store.hget(N.key(f"slow:{to}"), "state") == "done"


def test_a_call_that_is_over_is_left_alone(house: Install, shell: Shell, store: redis.Redis) -> None:
    house.worker()
    call = shell.delay("mailer.note", {"text": "over"})[0]
    house.answer(call)

    said = shell.run("answer = app.control.revoke(call, reply=True)", call=call)

    assert "is over (done)" in said[0]["register"]["ok"]
    assert store.hget(N.key("note:over"), "state") == "done"
    assert shell.run("answer = app.AsyncResult(call).status", call=call) == "SUCCESS"


def test_an_id_that_nobody_knows_is_told_and_its_message_does_not_run(
    house: Install, shell: Shell, stranger: Celery, effect_server: EffectServer
) -> None:
    house.worker()

    done = shell.celery("control", "revoke", "nobodys-id")
    house.worker()
    stranger.send_task("mailer.mail", kwargs={"to": "nobody"}, task_id="nobodys-id")
    answer = house.answer(stranger.send_task("mailer.note", kwargs={"text": "after"}).id)

    assert "no agent knows a call nobodys-id" in done.stdout
    assert answer["ok"]
    until(lambda: house.endings("nobodys-id"), 15, "an answer to the message")
    assert "mail:nobody" not in effect_server.counts()


def test_a_delayed_message_of_a_stranger_stays_revoked_over_a_restart(
    house: Install, shell: Shell, stranger: Celery, effect_server: EffectServer, store: redis.Redis
) -> None:
    """Nobody registered it: the message waits in the memory of a worker."""
    worker = house.worker()
    stranger.send_task("mailer.mail", kwargs={"to": "eta"}, task_id="with-eta", countdown=4)
    shell.run("app.control.revoke('with-eta')")
    worker.terminate()
    house.worker()
    other = stranger.send_task("mailer.mail", kwargs={"to": "eta2"}, countdown=6)

    assert house.answer(other.id, 20)["ok"]
    assert "mail:eta" not in effect_server.counts()


def test_flower_revokes_in_the_register_and_refuses_what_has_begun(
    house: Install, shell: Shell, store: redis.Redis
) -> None:
    house.flower()
    house.worker()
    waits = later(shell, "flower")
    begun = shell.delay("mailer.mail_slowly", {"to": "flower"})[0]
    until((house.notes_dir / "before-flower.here").exists, 15, "the attempt to begin")

    status, _ = flower(house, f"/api/task/revoke/{waits}?terminate=true")
    refused, words = flower(house, f"/api/task/revoke/{begun}?terminate=true")
    for where in ("before", "behind"):
        (house.notes_dir / f"{where}-flower").touch()

    assert status == 200
    assert store.hget(N.call(waits), "state") == "cancelled"
    assert (refused, "has begun" in words) == (409, True), words
    assert house.answer(begun, 20)["ok"]


def test_the_word_that_frees_a_revoked_key_counts_in_the_same_worker(
    house: Install, shell: Shell, effect_server: EffectServer
) -> None:
    house.worker()
    call = later(shell, "freed-again", countdown=2)
    shell.run("app.control.revoke(call)", call=call)

    shell.run(
        """
        from state.ledger import Ledger
        from state.ledger.resolve import Resolution
        word = Resolution("not-applied", "ada", "send it after all")
        answer = Ledger().resolve("mailer", "mail:freed-again", word)
        """
    )

    until(lambda: effect_server.counts().get("mail:freed-again") == 1, 20, "the mail")
