"""An installation for a whole module: its tests share a server and processes, and keep apart by their keys."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from celery import Celery

from server_urls import redis_url
from tests.conftest import MADE, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.process import Process
from tests.harness.shell import Shell
from tests.programs import TOKENS, Program

AGENTS = ("storyteller", "counter", "clerk")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    """An installation on a server of the module's own; nothing runs yet."""
    effect_server.clear()
    server = a_valkey()
    made = Install(
        tmp_path_factory.mktemp("house"), server.url, task_modules=AGENTS, env={"EFFECTS_URL": effect_server.base_url}
    )
    yield made
    made.close()
    server.close()


@pytest.fixture(scope="module")
def shell(house: Install) -> Iterator[Shell]:
    """A Python process in that installation."""
    made = Shell(house)
    yield made
    made.close()


@pytest.fixture(scope="module")
def store(house: Install) -> Iterator[redis.Redis]:
    """A client of its Redis."""
    client = redis.Redis.from_url(house.redis_url, decode_responses=True)
    yield client
    client.close()


@pytest.fixture(scope="module")
def stranger(house: Install) -> Iterator[Celery]:
    """A Celery client that knows nothing of us but the address of the broker."""
    url = redis_url.read(house.redis_url).for_kombu
    app = Celery("stranger", broker=url, backend=url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture(scope="module")
def web_env() -> dict[str, str]:
    """The environment of the processes of `web`; a module may add to it."""
    return {"API_TOKENS": TOKENS}


@pytest.fixture(scope="module")
def web(house: Install, web_env: dict[str, str]) -> Process:
    """Start the web process and a worker together; return the web process."""
    house.env |= web_env
    with ThreadPoolExecutor(2) as pool:
        web = pool.submit(house.web)
        pool.submit(house.worker).result()
        return web.result()


@pytest.fixture
def owner(house: Install) -> Program:
    return Program(house)


@pytest.fixture(autouse=True)
def _no_bug(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check after each test that nothing broke in the web process of its module, if it has one."""
    web = request.getfixturevalue("web") if "web" in request.fixturenames else None
    yield
    if web:
        assert "Traceback" not in web.output
        assert web.alive


@pytest.fixture(autouse=True)
def _show_output_of_a_failed_test(request: pytest.FixtureRequest) -> None:
    if "house" in request.fixturenames:
        request.node.stash[MADE] = [request.getfixturevalue("house")]
