"""A canary in every secret setting: after a full run it must be nowhere that somebody might look."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import redis

from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, patient, until
from tests.harness.install import http_status
from tests.harness.ports import free_ports

#: Each with a character that URLs, JSON, shells or forms write differently; none is a part of another.
LEDGER = "canary-ledger/x@1"
BROKER = "canary-broker:y+2"
DESK = 'canary-desk"z,3'
CANARIES = {"REDIS_URL": LEDGER, "BROKER_URL": BROKER, "DESK_PASSWORD": DESK}


class LockedValkey(Valkey):
    """A server on a port that lets nobody in without the password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        [self.port] = free_ports(1)
        self.password = password
        self._client = redis.Redis(port=self.port, password=password, decode_responses=True, socket_timeout=5)

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"

    def _options(self) -> list[str]:
        return [*super()._options(), "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", self.password]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LockedValkey, LockedValkey]]:
    ledger, broker = LockedValkey(LEDGER), LockedValkey(BROKER)
    ledger.start()
    broker.start()
    yield ledger, broker
    ledger.close()
    broker.close()


@pytest.fixture(scope="module")
def secretive(
    servers: tuple[LockedValkey, LockedValkey], tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer
) -> Iterator[Install]:
    """A whole system with a password everywhere, after it has done everything that leaves traces."""
    ledger, broker = servers
    env = {"BROKER_URL": broker.url, "DESK_PASSWORD": DESK, "EFFECTS_URL": effect_server.base_url, "LOG_LEVEL": "debug"}
    made = Install(tmp_path_factory.mktemp("secretive"), ledger.url, task_modules=("clerk", "storyteller"), env=env)
    full_run(made, effect_server)
    yield made
    made.close()


def full_run(install: Install, effects: EffectServer) -> None:
    effects.clear()
    post = "---\nid: hello\ntitle: Hello\npublish_at: 2026-01-01T00:00:00Z\n---\nSome words.\n"
    (install.content_dir / "hello.md").write_text(post)
    with ThreadPoolExecutor(4) as pool:
        for start in (install.worker, install.beat, install.web, install.flower):
            pool.submit(start)
    assert len(install.processes) == 4
    effects.mode("apply_then_reset", key="post:torn")
    calls = install.json_of(
        """
        import json
        send = lambda name, **kwargs: app.tasks[name].delay(**kwargs).id
        good = [send("clerk.post", post_id="fine"), send("storyteller.publish", post_id="fine")]
        bad = [send("clerk.leak"), send("clerk.post", post_id="torn"), send("clerk.complain", words="broken")]
        print(json.dumps([good, bad]))
        """
    )
    assert [install.result(call, 30)["status"] for call in calls[0]] == ["SUCCESS"] * 2
    assert [install.result(call, 30)["status"] for call in calls[1]] == ["FAILURE"] * 3
    until((install.public_dir / "feed.xml").exists, 20, "beat's tick to publish")
    until(lambda: install.state("clerk")["errors"], what="the errors in the mirror")
    for path in ("/healthz", "/readyz", "/feed.xml", "/posts/hello.html", "/nothing"):
        http_status(install.web_url + path)


def spellings(secret: str) -> set[str]:
    """How it might stand in a file: as it is, in a URL, in JSON, and as HTTP sends it."""
    basic = base64.b64encode(f"admin:{secret}".encode()).decode()
    return {secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1], basic}


def found_in(text: str) -> list[str]:
    return [name for name, secret in CANARIES.items() for form in spellings(secret) if form in text]


def around(text: str) -> str:
    """Where a canary sits, for the failure to show."""
    for secret in CANARIES.values():
        for form in spellings(secret):
            if form in text:
                place = text.index(form)
                return text[max(0, place - 300) : place + 100]
    return ""


def dump(server: LockedValkey) -> str:
    """Every key of a server with its whole value; one that goes while this looks has none."""
    client = server.client()
    readers = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda name: client.lrange(name, 0, -1),
        "set": client.smembers,
        "zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        "stream": client.xrange,
        "none": lambda _name: "",
    }
    return "\n".join(f"{name} {readers[client.type(name)](name)}" for name in client.scan_iter("*"))


def test_the_canaries_open_the_doors_they_are_for(secretive: Install) -> None:
    """Otherwise their absence would prove nothing."""
    token = base64.b64encode(f"admin:{DESK}".encode()).decode()
    request = Request(f"{secretive.flower_url}/tasks", headers={"Authorization": f"Basic {token}"})
    with build_opener(ProxyHandler({})).open(request, timeout=patient(10)) as answer:
        assert answer.status == 200
    assert http_status(f"{secretive.flower_url}/tasks") == 401
    assert LEDGER not in secretive.redis_url
    assert all(process.alive for process in secretive.processes)


def test_no_process_prints_a_canary(secretive: Install) -> None:
    for process in secretive.processes:
        assert process.output or process.name.startswith(("flower", "web")), process.name
        assert found_in(process.output) == [], f"{process.name}: …{around(process.output)}…"


def test_no_file_of_the_state_or_the_feed_holds_a_canary(secretive: Install) -> None:
    files = [
        path
        for path in Path(secretive.folder).rglob("*")
        if path.is_file() and secretive.folder / "log" not in path.parents
    ]

    assert secretive.state_dir / "agents" / "clerk.json" in files
    for path in files:
        text = ""
        with suppress(FileNotFoundError):  # what is written beside a file, to replace it, may be gone by now
            text = path.read_bytes().decode(errors="replace")
        assert found_in(text) == [], f"{path.name}: …{around(text)}…"


@pytest.mark.parametrize("number", [0, 1], ids=["ledger", "broker"])
def test_neither_server_stores_a_canary(
    secretive: Install, servers: tuple[LockedValkey, LockedValkey], number: int
) -> None:
    text = dump(servers[number])

    assert text
    assert found_in(text) == [], f"…{around(text)}…"


def test_no_page_and_no_answer_shows_a_canary(secretive: Install) -> None:
    token = base64.b64encode(f"admin:{DESK}".encode()).decode()
    pages = [f"{secretive.web_url}{path}" for path in ("/healthz", "/readyz", "/feed.xml", "/posts/", "/nothing")]
    pages += [
        f"{secretive.flower_url}{path}"
        for path in ("/", "/workers", "/tasks", "/broker", "/api/workers?refresh=1", "/api/tasks", "/metrics")
    ]
    for page in pages:
        request = Request(page, headers={"Authorization": f"Basic {token}"} if secretive.flower_url in page else {})
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=patient(15)) as answer:
                text = answer.read().decode()
        except OSError as error:
            text = getattr(error, "read", lambda: b"")().decode()
        assert found_in(text) == [], f"{page}: …{around(text)}…"


def test_no_command_prints_a_canary(secretive: Install) -> None:
    commands = [
        ("gate", "status", "--json"),
        ("gate", "explain", "post:torn"),
        ("gate", "doctor"),
        ("inspect", "conf"),
        ("report",),
        ("call", "clerk.post", "--kwargs", "{}"),
    ]
    with ThreadPoolExecutor(4) as pool:
        for command, done in zip(commands, pool.map(lambda args: secretive.celery(*args), commands), strict=True):
            text = done.stdout + done.stderr
            assert text
            assert found_in(text) == [], f"{' '.join(command)}: …{around(text)}…"


@pytest.mark.parametrize("setting", ["REDIS_URL", "BROKER_URL"])
def test_a_wrong_password_is_refused_without_being_repeated(secretive: Install, setting: str) -> None:
    wrong = secretive.env[setting].replace("canary", "wrong-canary")
    install = Install(secretive.folder / f"wrong-{setting}", secretive.redis_url, task_modules=())
    install.env.update({**secretive.env, setting: wrong})

    with ThreadPoolExecutor(2) as pool:
        outputs = list(
            pool.map(
                lambda args: install.celery(*args),
                [("gate", "status", "--json"), ("call", "clerk.remember", "--kwargs", '{"name": "a", "value": 1}')],
            )
        )

    install.close()
    for done in outputs:
        assert "canary-" not in done.stdout + done.stderr, done.stdout + done.stderr
