"""An installation for a whole module: its tests share a server and processes, and keep apart by their keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import MADE, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install
from tests.harness.shell import Shell

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


@pytest.fixture(autouse=True)
def _show_output_of_a_failed_test(request: pytest.FixtureRequest) -> None:
    if "house" in request.fixturenames:
        request.node.stash[MADE] = [request.getfixturevalue("house")]
