"""What an error without any effect says of the next try."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
import requests
from requests import HTTPError, Response
from requests.exceptions import ReadTimeout

import settings
from gatekeeper.errors import NotApplied
from gatekeeper.run import prospects
from gatekeeper.run.prospects import Prospect
from state.errors import JournalUnavailable
from tests.harness.ports import free_ports


@pytest.fixture(autouse=True)
def _services(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MASTODON_URL", "https://social.example")
    monkeypatch.setenv("GROQ_URL", "https://models.example/v1")
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


def answer(status: int, url: str = "https://social.example/api/v1/statuses", **headers: str) -> HTTPError:
    response = Response()
    response.status_code, response.url = status, url
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return HTTPError(f"{status}", response=response)


def not_applied(cause: BaseException, **hints: object) -> NotApplied:
    try:
        raise NotApplied("nothing happened", **hints) from cause  # type: ignore[arg-type]
    except NotApplied as error:
        return error


@pytest.mark.parametrize("status", [429, 503])
def test_what_a_service_calls_temporary_is(status: int) -> None:
    assert prospects.of(answer(status)) == Prospect(temporary=True)
    assert prospects.of(answer(status, Retry_After="7")) == Prospect(temporary=True, retry_after=7)
    assert prospects.of(not_applied(answer(status, Retry_After="7"))) == Prospect(temporary=True, retry_after=7)


def test_a_date_counts_from_the_clock_of_the_service() -> None:
    date, later = "Sun, 29 Nov 2026 20:00:00 GMT", "Sun, 29 Nov 2026 20:01:30 GMT"
    assert prospects.of(answer(429, Date=date, Retry_After=later)).retry_after == 90


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-"])
def test_a_pause_that_makes_no_sense_is_none(text: str) -> None:
    assert prospects.of(answer(429, Retry_After=text)) == Prospect(temporary=True)


@pytest.mark.parametrize("status", [401, 403, 404, 413])
def test_who_says_when_to_come_again_means_it(status: int) -> None:
    assert prospects.of(answer(status, Retry_After="5")) == Prospect(temporary=True, retry_after=5)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (answer(401), "MASTODON_TOKEN"),
        (answer(403), "MASTODON_TOKEN"),
        (answer(404), "MASTODON_URL"),
        (answer(413), "the size"),
        (answer(401, "https://models.example/v1/chat"), "GROQ_API_KEY"),
        (answer(401, "https://nobody.example/"), "the credentials"),
        (answer(404, "https://nobody.example/"), "the address"),
    ],
)
def test_what_only_a_person_can_change_names_what_to_change(error: HTTPError, change: str) -> None:
    for one in (error, not_applied(error)):
        found = prospects.of(one)
        assert found.temporary is False
        assert change in found.change


@pytest.mark.parametrize("status", [400, 408, 409, 422, 425, 500, 502, 504])
def test_other_statuses_say_nothing_unless_it_is_known_that_nothing_happened(status: int) -> None:
    assert prospects.of(answer(status)) == Prospect()
    assert prospects.of(not_applied(answer(status))).temporary is (status in {408, 425} or status >= 500)


def test_no_connection_is_temporary_and_a_broken_address_is_not() -> None:
    [port] = free_ports(1)
    for url, temporary in ((f"http://127.0.0.1:{port}", True), ("nonsense", False), ("http://", False)):
        with pytest.raises(requests.RequestException) as raised:
            requests.post(url, timeout=2)
        assert prospects.of(raised.value).temporary is temporary, url
        assert prospects.of(not_applied(raised.value)).temporary is temporary, url


def test_a_full_disk_is_temporary() -> None:
    assert prospects.of(OSError(errno.ENOSPC, "No space left on device")).temporary
    assert prospects.of(not_applied(OSError(errno.ENOSPC, "No space left on device"))).temporary
    assert prospects.of(JournalUnavailable("cannot be written")).temporary
    assert prospects.of(OSError(errno.EACCES, "Permission denied")) == Prospect()


def test_an_answer_that_never_came_is_temporary_only_where_nothing_happened() -> None:
    assert prospects.of(ReadTimeout("no answer")) == Prospect()
    assert prospects.of(not_applied(ReadTimeout("no answer"))).temporary


def test_the_author_has_the_last_word() -> None:
    assert prospects.of(NotApplied("no")) == Prospect()
    assert prospects.of(NotApplied("no", temporary=True)) == Prospect(temporary=True)
    assert prospects.of(NotApplied("no", retry_after=3)) == Prospect(temporary=True, retry_after=3)
    assert prospects.of(NotApplied("no", temporary=False, change="X")) == Prospect(temporary=False, change="X")
    assert prospects.of(not_applied(answer(429, Retry_After="7"), temporary=False)) == Prospect(temporary=False)
    assert prospects.of(not_applied(answer(401), temporary=True)).temporary
    for nonsense in (float("nan"), float("inf"), -1.0):
        assert prospects.of(NotApplied("no", retry_after=nonsense)) == Prospect(temporary=True)


def test_an_exception_of_the_task_itself_says_nothing() -> None:
    assert prospects.of(RuntimeError("broken")) == Prospect()
    assert prospects.of(not_applied(RuntimeError("broken"))) == Prospect()
