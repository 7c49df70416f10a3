"""What a whole journal says of every key: told in a few records, and read at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from state.journal import projector, records
from state.journal.projection import KeyState, Projection
from state.journal.projector import project

AGENT, KEY = "clerk", "post:hello"
EVERY_END = [
    pytest.param({"outcome": "done"}, "done", id="done"),
    pytest.param({"outcome": "unknown", "error": "reset"}, "unknown", id="unknown"),
    pytest.param({"outcome": "failed", "retry": True}, "waiting", id="failed, to be tried again"),
    pytest.param({"outcome": "failed", "retry": False}, "rejected", id="failed"),
    pytest.param({"outcome": "refused", "retry": True}, "waiting", id="refused, to be tried again"),
    pytest.param({"outcome": "refused", "retry": False}, "rejected", id="refused"),
]


class Book:
    """A journal written by hand; each method is one record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.month = "2026-11"

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def write(self, event: str, **fields: Any) -> Book:
        with (self.folder / f"{self.month}.jsonl").open("ab") as file:
            file.write(records.encode(event, fields))
        return self

    def tell(self, event: str, call: str, key: str, **fields: Any) -> Book:
        return self.write(event, agent=AGENT, key=key, call=call, **fields)

    def registered(self, call: str = "c1", key: str = KEY) -> Book:
        return self.tell("registered", call, key, task="clerk.post", kwargs={}, fingerprint="f", door="beat")

    def intent(self, fence: int = 1, call: str = "c1", key: str = KEY, event: str = "intent", **more: Any) -> Book:
        asked = {"task": "clerk.post", "kwargs": {}, "fingerprint": "f", "door": "beat"}
        about = {"fence": fence, "epoch": "e1", "owner": f"o{fence}", "payload": {"fence": fence}}
        return self.tell(event, call, key, **(asked | about | more))

    def outcome(self, outcome: str, fence: int = 1, call: str = "c1", key: str = KEY, **more: Any) -> Book:
        return self.tell("outcome", call, key, fence=fence, outcome=outcome, **more)

    def resolved(self, how: str, fence: int = 1, call: str = "c1", key: str = KEY) -> Book:
        return self.tell(
            "resolved", call, key, fence=fence, how=how, by="ada", why="I looked", task="clerk.post", kwargs={}
        )

    def ended(self, state: str, call: str = "c1", key: str = KEY) -> Book:
        return self.tell("ended", call, key, state=state)

    def fold(self) -> Projection:
        return project(self.files)

    def standing(self, key: str = KEY) -> KeyState:
        return self.fold().keys[AGENT, key]

    def state(self, key: str = KEY) -> str:
        return self.standing(key).state

    def waiting(self) -> list[str]:
        """The calls that had not begun."""
        return [call for _, call in self.fold().calls]

    def record_at(self, place: Any) -> dict[str, Any]:
        line = self.files[place.file].read_bytes()[place.offset :].partition(b"\n")[0]
        return next(records.decode_all(line))


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_an_empty_journal_says_nothing() -> None:
    whole = project([])

    assert (whole.keys, whole.calls, whole.agents, whole.records) == ({}, {}, [], 0)


def test_a_call_that_was_only_registered_waits(book: Book) -> None:
    book.registered("c1").registered("c2", "post:other")

    assert book.waiting() == ["c1", "c2"]
    assert book.fold().keys == {}


def test_an_intent_without_an_outcome_is_unknown(book: Book) -> None:
    book.registered().intent(3)

    standing = book.standing()

    assert (standing.state, standing.fence, standing.call) == ("unknown", 3, "c1")
    assert book.waiting() == []
    assert book.fold().fences == {AGENT: 3}


@pytest.mark.parametrize(("end", "state"), EVERY_END)
def test_an_outcome_says_where_the_key_stands(book: Book, end: dict[str, Any], state: str) -> None:
    book.registered().intent(3).outcome(fence=3, **end)

    assert book.state() == state
    assert book.record_at(book.standing().outcome)["outcome"] == end["outcome"]


@pytest.mark.parametrize(("end", "state"), EVERY_END)
def test_a_newer_attempt_takes_the_place_of_everything_but_done(book: Book, end: dict[str, Any], state: str) -> None:
    book.intent(3).outcome(fence=3, **end).intent(5)

    assert book.state() == ("done" if state == "done" else "unknown")


@pytest.mark.parametrize(("end", "state"), EVERY_END)
def test_what_is_said_of_an_earlier_attempt_is_old_unless_it_was_done(
    book: Book, end: dict[str, Any], state: str
) -> None:
    book.intent(3).intent(5).outcome(fence=3, **end)

    assert book.state() == ("done" if state == "done" else "unknown")


def test_what_happened_happened_whatever_was_said_before_and_after(book: Book) -> None:
    book.intent(3).outcome("unknown", 3).outcome("done", 3, result={"result": 1}).outcome("failed", 3, retry=True)
    book.resolved("not-applied", 3).intent(4).outcome("unknown", 4)

    assert book.state() == "done"
    assert book.record_at(book.standing().outcome)["result"] == {"result": 1}


def test_an_attempt_in_doubt_whose_owner_proves_later_that_nothing_was_sent_waits(book: Book) -> None:
    book.intent(3).outcome("unknown", 3, error="killed").outcome("failed", 3, retry=True)

    assert book.state() == "waiting"


def test_the_payload_is_that_of_the_highest_fence(book: Book) -> None:
    """An earlier one may have been written down and never sent; a later claim is given what was frozen."""
    book.intent(1).intent(4).intent(3, event="intent")

    assert book.record_at(book.standing().intent)["payload"] == {"fence": 4}


def test_the_last_error_says_why(book: Book) -> None:
    book.intent(1).outcome("unknown", 1, error="connection reset")

    assert book.record_at(book.standing().outcome)["error"] == "connection reset"


def test_proof_that_nothing_arrived_frees_the_key(book: Book) -> None:
    book.intent(1).outcome("unknown").tell("absent", "c1", KEY, fence=1)
    assert book.state() == "waiting"

    book.intent(2).tell("absent", "c1", KEY, fence=1)
    assert book.state() == "unknown"


@pytest.mark.parametrize(
    ("how", "state"), [("applied", "done"), ("not-applied", "waiting"), ("cancel", "cancelled"), ("approve", "waiting")]
)
def test_a_persons_word_is_kept(book: Book, how: str, state: str) -> None:
    book.registered().intent(2).outcome("unknown", 2).resolved(how, 2)

    assert book.state() == state
    assert book.waiting() == []
    if state != "waiting":
        assert book.standing().why == "I looked"


def test_a_persons_word_about_another_attempt_than_the_newest_changes_nothing(book: Book) -> None:
    book.intent(2).outcome("unknown", 2).intent(3).resolved("not-applied", 2)

    assert book.state() == "unknown"


@pytest.mark.parametrize("how", ["not-applied", "cancel"])
def test_a_persons_word_does_not_undo_what_is_done(book: Book, how: str) -> None:
    book.intent(2).outcome("done", 2).resolved(how, 2)

    assert book.state() == "done"


def test_a_call_that_a_person_ends_before_it_began_stays_ended(book: Book) -> None:
    book.registered().resolved("cancel", 0)

    assert book.state() == "cancelled"
    assert book.waiting() == []


def test_a_call_that_a_person_lets_run_before_it_began_still_waits(book: Book) -> None:
    """It was held as poison."""
    book.registered().resolved("approve", 0)

    assert book.waiting() == ["c1"]


@pytest.mark.parametrize("state", ["rejected", "done"])
def test_a_call_that_ended_does_not_run_again(book: Book, state: str) -> None:
    book.registered().ended(state)

    assert book.waiting() == []
    assert book.fold().keys == {}


def test_a_key_whose_call_was_revoked_stays_revoked(book: Book) -> None:
    book.registered().ended("cancelled")

    assert book.waiting() == []
    assert book.state() == "cancelled"


def test_a_retry_that_was_refused_ends_the_key(book: Book) -> None:
    book.registered().intent(1).outcome("failed", retry=True).ended("rejected")

    assert book.state() == "rejected"


def test_the_end_of_a_duplicate_says_nothing_of_the_key(book: Book) -> None:
    book.registered("c1").intent(1).outcome("failed", retry=True).registered("c2").ended("rejected", "c2")

    assert book.state() == "waiting"
    assert book.waiting() == []


def test_points_survive_their_attempt(book: Book) -> None:
    book.intent(1).tell("point", "c1", KEY, fence=1, name="container", value="17")
    book.tell("point", "c1", KEY, fence=1, name="step", value="1").outcome("unknown").tell("absent", "c1", KEY, fence=1)
    book.intent(2).tell("point", "c1", KEY, fence=2, name="step", value="2").outcome("failed", 2, retry=True)

    assert list(book.fold().points.values()) == [{"container": "17", "step": "2"}]


def test_points_of_a_text_survive_a_proven_failure_and_those_from_before_the_effect_do_not(book: Book) -> None:
    book.tell("point", "c1", KEY, fence=1, name="container", value="16").intent(1)
    book.tell("point", "c1", KEY, fence=1, name="container", value="17", text="ab").outcome("failed", retry=True)

    assert list(book.fold().points.values()) == [{"container@ab": "17"}]


def test_what_another_journal_knew_counts_as_sent(book: Book) -> None:
    book.intent(4, event="carried over").intent(5, call="c2", key="post:b", event="carried over")
    book.outcome("done", 5, "c2", "post:b").write("epoch", agent=AGENT, epoch="e1", fence=9)

    assert (book.state(), book.state("post:b")) == ("unknown", "done")
    assert book.fold().fences == {AGENT: 9}
    assert book.fold().heads.epoch(AGENT) == "e1"


def test_checkpoints_and_epochs_raise_the_fence_and_never_lower_it(book: Book) -> None:
    book.write("checkpoint", known={AGENT: ["e1", 7], "crier": ["f1", 2]}).write(
        "epoch", agent=AGENT, epoch="e2", fence=5
    )

    assert book.fold().fences == {AGENT: 7, "crier": 2}
    assert book.fold().agents == [AGENT, "crier"]


def test_agents_with_the_same_keys_are_kept_apart(book: Book) -> None:
    book.intent(1).outcome("done")
    book.write("intent", agent="crier", key=KEY, call="c9", fence=8, epoch="e", owner="o", payload={})

    whole = book.fold()

    assert (whole.keys[AGENT, KEY].state, whole.keys["crier", KEY].state) == ("done", "unknown")


def test_an_attempt_may_begin_in_one_month_and_end_in_the_next(book: Book) -> None:
    book.registered().intent(1)
    book.month = "2026-12"
    book.write("checkpoint", known={AGENT: ["e1", 1]}).outcome("done", result={"result": 3})

    standing = book.standing()

    assert standing.state == "done"
    assert standing.outcome
    assert (standing.intent.file, standing.outcome.file) == (0, 1)
    assert book.record_at(standing.outcome)["result"] == {"result": 3}


def test_a_torn_outcome_leaves_the_key_unknown_and_is_reported(book: Book) -> None:
    book.intent(1)
    with (book.folder / "2026-11.jsonl").open("ab") as file:
        file.write(
            records.encode("outcome", {"agent": AGENT, "key": KEY, "call": "c1", "fence": 1, "outcome": "done"})[:60]
        )
    book.intent(2, "c2", "post:b")

    whole = book.fold()

    assert {key: standing.state for (_, key), standing in whole.keys.items()} == {KEY: "unknown", "post:b": "unknown"}
    assert [(damage.line, damage.torn) for damage in whole.damages] == [(2, True)]


def test_events_of_a_later_version_are_passed_over(book: Book) -> None:
    book.intent(1).write("weather", agent=AGENT, rain=True).outcome("done")

    assert book.state() == "done"
    assert book.fold().records == 3


def test_the_reading_tells_how_far_it_is(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "STEP", 1)
    book.intent(1).outcome("done").intent(2, "c2", "post:b")
    read: list[int] = []

    project(book.files, read.append)

    assert len(read) > 2
    assert sum(read) == book.files[0].stat().st_size


def test_one_key_can_be_read_alone(book: Book) -> None:
    for number, key in enumerate(('post:"quoted"', "post:grüße", "post:grüße:2"), 1):
        book.intent(number, f"c{number}", key).outcome("done", number, f"c{number}", key)
    book.intent(9, "c9", "post:b", payload={"key": "post:grüße"})

    for key in ('post:"quoted"', "post:grüße"):
        alone = project(book.files, key=key)
        assert alone.keys[AGENT, key].state == "done"
        assert (AGENT, "post:grüße:2") not in alone.keys
