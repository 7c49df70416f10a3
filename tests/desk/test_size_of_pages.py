"""The desk's other pages stay fast and small with a million keys, ten thousand of which wait for a person."""

from __future__ import annotations

import time

import pytest
from starlette.testclient import TestClient

from tests.desk import test_size
from tests.desk.test_size import browser, crowd, measure
from tests.harness import patient

pytestmark = pytest.mark.slow

__all__ = ["browser", "crowd"]

#: What the issue asks for, on an idle machine.
SECONDS, BYTES = 0.100, 150_000
#: Seconds of a search that looks at every name while time allows: less than the page's own limit.
SEARCH_SECONDS = 2.4
#: The quickest of some searches has the least of the machine's other work in it.
SEARCHES = 3

PATHS = [
    "/agents/poster",
    f"/keys/poster/publish%3Afeed%3Apost-{test_size.HELD}",
    f"/keys/poster/publish%3Afeed%3Apost-{test_size.KEYS}",
    "/schedule",
    "/incidents",
    "/audit",
    "/words",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_comes_within_100_ms_and_150_kb(browser: TestClient, path: str) -> None:
    seconds, size = measure(browser, path)

    print(f"{path}: {1000 * seconds:.0f} ms, {size:,} bytes")  # noqa: T201 - the figures are the result
    assert seconds < patient(SECONDS)
    assert size < BYTES


def test_a_search_ends_in_time(browser: TestClient) -> None:
    times = []
    for _ in range(SEARCHES):
        begin = time.perf_counter()
        answer = browser.get("/search", params={"q": "post-7777"})
        times.append(time.perf_counter() - begin)

    assert answer.status_code == 200
    assert "post-7777" in answer.text
    assert min(times) < SEARCH_SECONDS
    assert len(answer.content) < BYTES
    exact = browser.get("/search", params={"q": f"publish:feed:post-{test_size.KEYS}"})
    assert exact.status_code == 303
