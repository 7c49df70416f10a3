"""The story of one key or call: three sentences, its events in words, and its attempts with their external calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from workers.commands import explain, sentences
from workers.commands import story as events_in_words
from workers.commands.case import Case, Told

#: Events that end an attempt.
_ENDS = frozenset({"done", "failed", "refused", "unknown", "held", "queued", "waiting"})


@dataclass(frozen=True)
class ToldEvent:
    """One event; `at` is ISO 8601 in UTC."""

    at: str
    name: str
    words: str


@dataclass(frozen=True)
class ExternalCall:
    """One external call of an attempt."""

    at: str
    method: str
    where: str  #: host and path
    answer: str  #: the status, or what went wrong
    outcome: str
    ms: int | None


@dataclass
class PastRun:
    """One attempt; `outcome` is empty as long as it runs, or if its end is not recorded."""

    number: int | None
    began: str
    owner: str
    outcome: str = ""
    words: str = ""
    ms: int | None = None
    requests: list[ExternalCall] = field(default_factory=list)


@dataclass(frozen=True)
class Story:
    """The story of one key or call, as `gatehouse explain` tells it."""

    case: Case
    told: Told
    question: str
    events: list[ToldEvent]
    attempts: list[PastRun]

    @property
    def record(self) -> dict[str, Any]:
        return self.case.record


def tell(record: dict[str, Any]) -> Story:
    """Return the story of a record of `history.read_history`. Raises StoreError."""
    case = explain.case_of(record)
    events = [ToldEvent(each["at"], each["event"], events_in_words.words(each)) for each in case.story]
    return Story(case, _told(case), sentences.question(case), events, list(_attempts(case.story)))


def _told(case: Case) -> Told:
    told = sentences.about(case)
    happened, why, now = map(explain.sentence, (told.happened, told.why, told.now))
    return Told(happened, why, now, told.commands)


def _attempts(story: list[dict[str, Any]]) -> Iterator[PastRun]:
    """Yield the attempts: each begins with `claimed` and ends before the next."""
    running: PastRun | None = None
    for event in story:
        name = event["event"]
        if name == "claimed":
            if running:
                yield running
            running = PastRun(event.get("attempt"), event["at"], str(event.get("owner") or ""))
        elif running and name == "http":
            running.requests.append(_request(event))
        elif running and name in _ENDS and not running.outcome:
            running.outcome, running.words, running.ms = name, events_in_words.words(event), event.get("ms")
    if running:
        yield running


def _request(event: dict[str, Any]) -> ExternalCall:
    parts = urlsplit(str(event.get("url") or ""))
    answer = str(event.get("status") or event.get("error") or "no answer")
    where = f"{parts.netloc}{parts.path}"
    return ExternalCall(
        event["at"], str(event.get("method") or ""), where, answer, str(event.get("outcome") or ""), event.get("ms")
    )
