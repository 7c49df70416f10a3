"""A plug-in of pytest: the tests of the scripts run on a real cluster, on the node that has the keys of their agent.

A key of another agent is on another node then with two chances in three, and a script that declares keys of two slots is
refused in any case. At the end it writes the keys of every run of a script, as JSON, to the file that KEYS_OF_RUNS names.
With ON_ONE_SERVER set, the tests run on one server, and the keys are written all the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import tests.conftest as fixtures
from state.redis.keys import Keys
from state.redis.script import Script
from tests.harness.redis_cluster import RedisCluster
from tests.scripts.poster import AGENT


class OnCluster:
    """The node of the cluster that has the keys of the tests' agent, where a test expects a server of its own."""

    def __init__(self) -> None:
        self._cluster = RedisCluster().start()
        self._node = self._cluster.primary_of(Keys(AGENT).ledger)

    def client(self) -> redis.Redis:
        return self._node.client()

    def close(self) -> None:
        self._cluster.close()


@pytest.fixture(scope="session", autouse=True)
def _on_a_cluster() -> Iterator[None]:
    runs: dict[str, set[tuple[str, ...]]] = {}
    values = Script._values

    def noted(script: Script, *given: Any) -> list[Any]:
        found = values(script, *given)
        runs.setdefault(script.name, set()).add(tuple(found[1 : 1 + found[0]]))
        return found

    patch = pytest.MonkeyPatch()
    if "ON_ONE_SERVER" not in os.environ:
        patch.setattr(fixtures, "a_valkey", lambda **_: OnCluster())
    patch.setattr(Script, "_values", noted)
    yield
    patch.undo()
    Path(os.environ["KEYS_OF_RUNS"]).write_text(json.dumps({name: sorted(keys) for name, keys in runs.items()}))
