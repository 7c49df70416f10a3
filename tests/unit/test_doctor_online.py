"""What `doctor --online` says of tokens and models, against servers that count what reaches them: it publishes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import settings
from tests.harness import patient
from tests.mail_server import MailServer
from tests.models.server import HTML, Behaviour, ModelServer, says, sends
from tests.providers import mastodon, threads
from tests.providers.key import with_settings
from tests.providers.mastodon import Mastodon
from tests.providers.threads import Threads
from workers.commands import online

CLOSED = "http://127.0.0.1:1"


class World:
    """Two destinations and two models."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mastodon, self.threads = Mastodon(), Threads()
        self.groq, self.minimax = ModelServer(), ModelServer()
        for model in (self.groq, self.minimax):
            model.will(says('{"ok": true}'))
        self._monkeypatch = monkeypatch

    def asked(self, **environ: str) -> dict[str, tuple[str, str]]:
        """Each check with what it found and what to change."""
        usual = {
            "MASTODON_URL": self.mastodon.url, "MASTODON_TOKEN": mastodon.TOKEN, "HTTP_TIMEOUT": "2",
            "THREADS_URL": self.threads.url, "THREADS_TOKEN": threads.TOKEN,
            "GROQ_URL": self.groq.url, "GROQ_API_KEY": "groq-secret",
            "MINIMAX_URL": self.minimax.url, "MINIMAX_API_KEY": "minimax-secret",
        }  # fmt: skip
        with_settings(self._monkeypatch, **(usual | environ))
        found = {each.check: (each.found, each.change) for each in online.findings(settings.current())}
        for secret in (mastodon.TOKEN, threads.TOKEN, "groq-secret", "minimax-secret", "wrong-secret"):
            assert secret not in str(found)
        assert (self.mastodon.posts, self.threads.posts, self.threads.containers) == ([], [], {})
        return found

    def close(self) -> None:
        for server in (self.mastodon, self.threads, self.groq, self.minimax):
            server.close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    made.close()
    monkeypatch.undo()
    with_settings(monkeypatch)


def test_where_all_is_right_each_is_asked_once_and_nothing_is_to_be_changed(world: World) -> None:
    found = world.asked()

    assert list(found) == ["destination mastodon", "destination threads", "model groq", "model minimax"]
    assert [change for _, change in found.values()] == [""] * 4
    assert found["destination mastodon"][0] == f"{world.mastodon.url} knows the token: it is of {mastodon.ACCOUNT}"
    assert found["destination threads"][0].endswith("it is of agent")
    assert found["model groq"][0] == "llama-3.3-70b-versatile answers"
    assert [request.method for request in world.mastodon.asked + world.threads.asked] == ["GET", "GET"]
    assert [len(model.asked) for model in (world.groq, world.minimax)] == [1, 1]
    assert world.groq.asked[0].body["max_tokens"] == online.MAX_TOKENS


def test_what_has_no_token_is_not_asked(world: World) -> None:
    assert world.asked(MASTODON_TOKEN="", THREADS_TOKEN="", GROQ_API_KEY="", MINIMAX_API_KEY="") == {}


@pytest.mark.parametrize(
    ("environ", "check", "setting"),
    [
        ({"MASTODON_TOKEN": "wrong-secret"}, "destination mastodon", "MASTODON_TOKEN"),
        ({"MASTODON_URL": CLOSED}, "destination mastodon", "MASTODON_URL"),
        ({"MASTODON_URL": "http://no-such-name.invalid"}, "destination mastodon", "MASTODON_URL"),
        ({"THREADS_TOKEN": "wrong-secret"}, "destination threads", "THREADS_TOKEN"),
        ({"THREADS_URL": CLOSED}, "destination threads", "THREADS_URL"),
        ({"GROQ_URL": CLOSED}, "model groq", "GROQ_URL"),
        ({"MINIMAX_URL": CLOSED}, "model minimax", "MINIMAX_URL"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_the_others_are_asked_too(
    world: World, environ: dict[str, str], check: str, setting: str
) -> None:
    found = world.asked(**environ)

    assert setting in found[check][1]
    assert [each for each, (_, change) in found.items() if change] == [check]


def test_another_server_is_not_taken_for_a_destination(world: World) -> None:
    assert "MASTODON_URL" in world.asked(MASTODON_URL=world.groq.url)["destination mastodon"][1]


def test_a_destination_that_raises_anything_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise KeyError("x")

    monkeypatch.setattr("clients.destinations.mastodon.account", broken)

    found = world.asked()

    assert found["destination mastodon"][0] == "KeyError: 'x'"
    assert [each for each, (_, change) in found.items() if change] == ["destination mastodon"]


@pytest.mark.parametrize(
    ("behaviour", "found", "setting"),
    [
        (sends(401, {"error": {"message": "no such key"}}), "HTTP 401: no such key", "GROQ_API_KEY"),
        (sends(404, {"error": "no such model"}), "HTTP 404: no such model", "GROQ_MODEL"),
        (sends(402), "HTTP 402", "GROQ_API_KEY"),
        (sends(500, b"<h1>Oops</h1>", HTML), "HTTP 500: Oops", "GROQ_URL"),
        (sends(429), "HTTP 429", "asks for a pause"),
        (sends(400, {"error": "what?"}), "HTTP 400: what?", "GROQ_MODEL"),
        (sends(200, b"<p>Log in</p>", HTML), "the answer is not a chat completion: Log in", "GROQ_URL"),
        (sends(200, {"base_resp": {"status_msg": "insufficient balance"}}), "insufficient balance", "no credit"),
    ],
)
def test_a_model_that_cannot_answer_says_why_in_its_own_words(
    world: World, behaviour: Behaviour, found: str, setting: str
) -> None:
    world.groq.will(behaviour)

    told, change = world.asked()["model groq"]

    assert told.endswith(found)
    assert setting in change


CUT_OFF: list[Any] = [
    says("{", finish="length"),
    says(""),
    says("prose"),
    sends(400, {"error": {"message": "x", "code": "json_validate_failed"}}),
]


@pytest.mark.parametrize("behaviour", CUT_OFF)
def test_a_model_works_whatever_its_few_words_are(world: World, behaviour: Callable[..., None]) -> None:
    world.groq.will(behaviour)

    assert world.asked()["model groq"] == ("llama-3.3-70b-versatile answers", "")


def test_a_model_that_refuses_a_parameter_works_without_it(world: World) -> None:
    world.groq.will(sends(400, {"error": "unknown field response_format"}), says("{}"))

    assert world.asked()["model groq"] == ("llama-3.3-70b-versatile answers, without response_format", "")


@pytest.mark.slow
def test_without_redis_the_doctor_says_so_and_checks_the_rest(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "workers", "gate", "doctor", "--online"]
    env = {**os.environ, "STATE_DIR": str(tmp_path), "GROQ_API_KEY": "groq-secret", "GROQ_URL": CLOSED, "REDIS_URL": ""}

    done = subprocess.run(
        command, cwd=settings.ROOT, env=env, capture_output=True, text=True, timeout=patient(60), check=False
    )

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert lines[0].startswith("CHANGE  redis connection")
    assert lines[1].strip() == "-> start the system with: make up"
    assert [line.split()[0] for line in lines if "model groq" in line or " models " in line] == ["ok", "CHANGE"]
    assert any(line.startswith("ok      disk") for line in lines)


def test_the_mail_server_is_asked_to_let_us_in_and_gets_no_letter(world: World) -> None:
    server = MailServer(login=("ada", "secret")).start()
    try:
        right = world.asked(SMTP_URL=f"smtp://ada:secret@127.0.0.1:{server.port}?from=a@b.c")["mail"]
        wrong = world.asked(SMTP_URL=f"smtp://ada:wrong-secret@127.0.0.1:{server.port}")["mail"]
        closed = world.asked(SMTP_URL="smtp://127.0.0.1:1")["mail"]
    finally:
        server.stop()

    assert right == (f"127.0.0.1:{server.port} answers and knows ada; mail comes from a@b.c", "")
    assert "the login was refused" in wrong[0]
    assert wrong[1].startswith("change SMTP_URL")
    assert closed[1] == "change SMTP_URL; if that is right, try again later"
    assert server.reached == 0
