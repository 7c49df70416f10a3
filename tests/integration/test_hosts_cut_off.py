"""Two hosts with networks of their own: one is cut off in the middle of an effect, and comes back alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from state.redis.keys import Keys
from tests.conftest import MADE, a_namespace, a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.namespaces import InstallThere, Namespace, Relay
from tests.harness.ports import free_ports

pytestmark = pytest.mark.slow

#: More look-ups than prove an absence.
LOOK_UPS = 3


class Networks:
    """Two hosts, each in a namespace, with Redis and the provider on the other end of each line."""

    def __init__(self, stack: ExitStack, tmp_path: Path, effects: EffectServer) -> None:
        server = a_valkey()
        stack.callback(server.close)
        self.store = server.client()
        spaces = [a_namespace(letter) for letter in "ab"]
        for each in spaces:
            stack.callback(each.close)
        [port] = free_ports(1)
        self.store.config_set("protected-mode", "no")
        self.store.config_set("bind", " ".join(each.here for each in spaces))
        self.store.config_set("port", port)
        notes = tmp_path / "notes"
        notes.mkdir()
        self.line_of_a, self.notes = spaces[0], notes
        self.a, self.b = (
            self._install(stack, tmp_path / name, port, space, effects)
            for name, space in zip(("ha", "hb"), spaces, strict=True)
        )

    def _install(self, stack: ExitStack, folder: Path, port: int, space: Namespace, effects: EffectServer) -> Install:
        relay = Relay(space.here, urlsplit(effects.base_url).port or 0)
        stack.callback(relay.close)
        env = {
            "HOST_NAME": folder.name,
            "NOTES_DIR": str(self.notes),
            "TASK_MODULES": "storyteller,counter,doubter",
            "EFFECTS_URL": f"http://{space.here}:{relay.port}/effects",
        }
        made = InstallThere(folder, f"redis://{space.here}:{port}/0", space, env)
        stack.callback(made.close)
        return made

    def state(self, key: str) -> str:
        return str(self.store.hget(Keys("doubter").key(key), "state"))

    def of_a(self) -> dict[str, Any]:
        """Return what B tells of A."""
        [found] = [each for each in self.b.gate("hosts") if each["host"].startswith("ha.")]
        return dict(found)


@pytest.fixture
def networks(tmp_path: Path, effects: EffectServer, request: pytest.FixtureRequest) -> Iterator[Networks]:
    with ExitStack() as stack:
        made = Networks(stack, tmp_path, effects)
        request.node.stash[MADE] = [made.a, made.b]
        yield made


@pytest.mark.timeout(300)
def test_a_host_that_is_cut_off_while_it_sends_does_not_send_when_it_is_back(
    networks: Networks, effects: EffectServer
) -> None:
    two, key = networks, "sure:hello"
    two.a.env["WAIT_BEFORE_SENDING"] = "until it is back"
    two.a.worker()
    two.a.call("doubter.publish", post_id="hello")
    until((two.notes / "asleep").exists, 15, "the effect of A to begin")
    until(lambda: two.of_a()["clock"] is not None, 15, "the signs of A")

    two.line_of_a.cut()
    other = two.b.worker()

    until(lambda: two.state(key) == "unknown", 40, "B to take the claim, whose lease has ended")
    until(lambda: len(other.events("looked up")) >= LOOK_UPS, 30, "more look-ups than prove an absence")
    assert two.state(key) == "unknown", "A may be alive, and it is"
    assert effects.arrived() == 0
    cut_off = until(lambda: (it := two.of_a())["silent"] > 12 and it, 20, "A to be silent")
    assert (cut_off["doubts"], cut_off["gone"]) == (1, None)

    two.line_of_a.heal()
    until(lambda: two.of_a()["silent"] < 10, 60, "A to be back")
    (two.notes / "wake").touch()

    until(lambda: two.state(key) == "done", 60, "the key to be done")
    assert effects.counts() == {key: 1}
    assert effects.arrived(key) == 1
    assert two.of_a()["state"] == "alive"
