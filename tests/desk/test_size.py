"""The desk stays fast and small: a million keys, ten thousand of which wait for a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from redis import Redis
from starlette.testclient import TestClient

from state.agents import state_file
from state.redis.keys import Keys
from tasks.monitor import schedule_checks
from tests.conftest import _connect_to, a_valkey
from tests.desk.conftest import Visitor
from tests.harness import Valkey, patient
from tests.scripts.poster import AGENT

pytestmark = pytest.mark.slow

KEYS, HELD = 1_000_000, 10_000
#: What the issue asks for, on an idle machine: the quickest of some requests has the least of the others in it.
SECONDS, BYTES, TRIES = 0.050, 100_000, 12
#: Done keys as they are, and every hundredth in doubt with a payload of a post of some length.
FILL = """
local first, last, held, body = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
for n = first, last do
  local key = "publish:feed:post-" .. n
  local name = "gate:{poster}:key:" .. key
  if n <= held then
    local since = 1764000000000 + n
    local story = "gate:{poster}:story:" .. key
    redis.call("HSET", name, "state", "unknown", "task", "tasks.poster.post", "fence", n, "attempts", 1, "payload", body,
      "since_ms", since, "why", "no answer within 20 s")
    redis.call("HSET", "gate:{poster}:held", key,
      cjson.encode({key = key, state = "unknown", since = since, why = "no answer within 20 s"}))
    for _, event in ipairs({"arrived", "claimed", "sending", "http", "unknown"}) do
      redis.call("RPUSH", story, cjson.encode({at = since, event = event, door = "beat", fence = n}))
    end
  else
    redis.call("HSET", name, "state", "done", "task", "tasks.poster.post", "fence", n)
  end
end
"""


@pytest.fixture(scope="module")
def crowd() -> Iterator[Valkey]:
    """A server that holds them all."""
    server = a_valkey()
    body = '{"title": "A post of some length", "body": "%s"}' % ("Some words of a post. " * 60)
    fill = server.client().register_script(FILL)
    for first in range(1, KEYS, 50_000):
        fill(args=[first, first + 49_999, HELD, body])
    server.client().hset(Keys(AGENT).agent_meta, "revision", 1)
    for name, entry in schedule_checks.schedule().entries.items():  # beat runs
        server.client().hset(Keys(entry.agent).ticks, name, datetime.now(UTC).isoformat())
    yield server
    server.close()


@pytest.fixture
def browser(crowd: Valkey, monkeypatch: pytest.MonkeyPatch, visitor: Visitor) -> TestClient:
    _connect_to(crowd, monkeypatch)
    state_file.write(AGENT)
    return visitor()


def measure(browser: TestClient, path: str) -> tuple[float, int]:
    """The seconds of the quickest request, and the bytes of the page."""
    times, size = [], 0
    for _ in range(TRIES):
        begin = time.perf_counter()
        answer = browser.get(path)
        times.append(time.perf_counter() - begin)
        assert answer.status_code == 200
        size = len(answer.content)
    return min(times), size


@pytest.mark.parametrize(
    "path", ["/", "/?kind=doubt", "/?kind=doubt&from=poster.5000", "/?kind=doubt&from=poster.9990"]
)
def test_a_page_comes_within_50_ms_and_100_kb(browser: TestClient, path: str) -> None:
    seconds, size = measure(browser, path)

    print(f"{path}: {1000 * seconds:.0f} ms, {size:,} bytes")  # noqa: T201 - the figures are the result
    assert seconds < patient(SECONDS)
    assert size < BYTES


def test_asking_whether_a_page_changed_costs_a_fraction(browser: TestClient, valkey: Redis) -> None:
    tag, unchanged = browser.get("/").headers["etag"], []
    for _ in range(TRIES):
        begin = time.perf_counter()
        answer = browser.get("/", headers={"if-none-match": tag, "x-desk-refresh": "1"})
        if answer.status_code == 304:
            unchanged.append(time.perf_counter() - begin)
        else:
            tag = answer.headers["etag"]  # the minute turned, or the page was made for the first time

    assert unchanged
    assert min(unchanged) < patient(SECONDS) / 2
