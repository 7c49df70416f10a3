"""Fixtures: a real Valkey server, the effect server, and an installation of Gatehouse between them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from redis import Redis

from gatekeeper.run import sockets
from state.redis import client
from tests.effects.client import EffectServer
from tests.harness import Install, ServerMissing, Valkey
from tests.harness.namespaces import Namespace, NoNamespaces
from tests.harness.rabbitmq import RabbitMQ

MADE = pytest.StashKey[list[Install]]()


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start: a shell starts its background with SIGINT ignored, and all children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def a_valkey(*, aof: bool = False) -> Valkey:
    """A running server. Where there is no binary: skip at home, fail in CI."""
    try:
        return Valkey(aof=aof).start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def a_rabbitmq(**options: int) -> RabbitMQ:
    """A running node, with these settings. Where it is not installed: skip at home, fail in CI."""
    try:
        return RabbitMQ(**options).start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def a_namespace(letter: str) -> Namespace:
    """Return a network of its own. Where a program is missing: skip at home, fail in CI. Where this user may not make one: skip."""
    try:
        return Namespace(letter)
    except NoNamespaces as error:
        if os.environ.get("CI") and error.may_be_installed:
            raise
        pytest.skip(str(error))


def _connect_to(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `state` in this process talk to this server, as REDIS_URL would."""
    real = client.client

    @cache
    def connected(url: str | None = None) -> Redis:
        return real(url) if url else server.client()

    monkeypatch.setattr(client, "client", connected)


@pytest.fixture(autouse=True)
def _each_test_begins_as_a_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that other tests left open carry no effect of this one; its server is the one that settings would name."""
    sockets.forget()
    for name in sockets.UNSEEN:  # a test that imports uvicorn loads uvloop, and then no error proves anything any more
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sockets, "is_own", lambda _: True)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    server = a_valkey()
    yield server
    server.close()


@pytest.fixture
def valkey(valkey_server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Valkey:
    """The session's server, empty. A test that stops or restarts it takes `fragile_valkey`."""
    valkey_server.client().flushall()
    _connect_to(valkey_server, monkeypatch)
    return valkey_server


@pytest.fixture
def fragile_valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """A server of the test's own, with an AOF, to be stopped and killed."""
    server = a_valkey(aof=True)
    _connect_to(server, monkeypatch)
    yield server
    server.close()


@pytest.fixture(scope="session")
def effect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EffectServer]:
    server = EffectServer(tmp_path_factory.mktemp("effects")).start()
    yield server
    server.stop()


@pytest.fixture
def effects(effect_server: EffectServer) -> EffectServer:
    """The session's effect server: nothing happened yet, and all goes well."""
    effect_server.clear()
    return effect_server


@pytest.fixture
def install_on(
    request: pytest.FixtureRequest, tmp_path: Path, effects: EffectServer
) -> Iterator[Callable[[Valkey], Install]]:
    """Make installations on a server of the test's choice."""
    made: list[Install] = []
    request.node.stash[MADE] = made

    def install(server: Valkey) -> Install:
        made.append(Install(tmp_path / f"install{len(made)}", server.url, env={"EFFECTS_URL": effects.base_url}))
        return made[-1]

    yield install
    for each in made:
        each.close()


@pytest.fixture
def install(install_on: Callable[[Valkey], Install], valkey: Valkey) -> Install:
    """One installation on the session's server, with the test agents loaded and nothing running yet."""
    return install_on(valkey)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what the processes wrote to the report of a test that failed."""
    report = yield
    if report.failed:
        for install in item.stash.get(MADE, []):
            for process in install.processes:
                state = "alive" if process.alive else f"ended with {process.returncode}"
                report.sections.append((f"{process.name} ({state})", process.output[-8000:]))
    return report
