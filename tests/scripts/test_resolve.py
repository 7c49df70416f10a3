"""resolve.lua: a person says what became of a key that no program may decide about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from state.decision import Refusal
from state.ledger import owner
from state.ledger.attempt import MAX_PROOFS
from state.ledger.owner import Moment
from state.ledger.resolve import How, NotResolved, Resolution
from state.model import Claim
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from state.redis.script import Script
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, HOUR, Poster, sure


@pytest.fixture
def poster(poster_with: WithPolicies) -> Poster:
    return poster_with().open()


def say(poster: Poster, key: str, how: How, **more: Any) -> str:
    return poster.ledger.resolve(AGENT, key, Resolution(how, "ada", "I looked", **more))


def poisoned(poster: Poster, post_id: str = "hello") -> Claim:
    """A call that took three workers down before it sent anything."""
    call = poster.register(poster.call(post_id))
    for _ in range(3):
        claim = poster.claim(call)
        poster.reclaim(claim, dead=True)
    assert poster.key_of(claim)["state"] == "held"
    return claim


def state_of(poster: Poster, claim: Claim) -> str:
    return poster.key_of(claim)["state"]


def nothing_expires(poster: Poster, claim: Claim) -> bool:
    names = (poster.n.key(claim.key), poster.n.history(claim.key))
    return all(poster.redis.pttl(name) == -1 for name in names)


def nothing_is_left_of_the_doubt(poster: Poster, claim: Claim) -> bool:
    left = {"since_ms", "absences", "looks", "proofs", "lease_ms"} & set(poster.key_of(claim))
    return not left and poster.document()["held"] == [] and poster.ledger.held(AGENT) == []


# "resolved"


def test_what_a_person_saw_out_there_is_done_and_answers_with_what_they_gave(poster: Poster) -> None:
    claim = poster.doubt()

    assert say(poster, claim.key, "applied", result='{"url":"https://a.test/1"}') == "done"

    assert (state_of(poster, claim), poster.call_of(claim)["state"]) == ("done", "done")
    assert nothing_is_left_of_the_doubt(poster, claim)
    assert nothing_expires(poster, claim)
    assert poster.marks() == {claim.key: str(claim.fence)}
    assert poster.metrics()["total_done"] == 1
    assert poster.replayed("hello").result == '{"result":{"url":"https://a.test/1"},"rung":null}'


def test_what_a_person_did_not_find_is_sent_again_with_the_stored_payload(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)

    assert say(poster, claim.key, "not-applied") == "waiting"

    assert nothing_is_left_of_the_doubt(poster, claim)
    assert nothing_expires(poster, claim)
    assert poster.marks() == {}
    [due] = poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)
    assert due.call == call.id
    again = poster.claim(call)
    assert (again.payload, again.attempt) == ('"hello"', 1)
    assert again.fence > claim.fence


def test_what_a_person_cancels_is_never_sent(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)

    assert say(poster, claim.key, "cancel") == "cancelled"

    assert nothing_is_left_of_the_doubt(poster, claim)
    assert nothing_expires(poster, claim)
    assert list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True)) == []
    again = poster.admit(call)
    assert isinstance(again, Refusal)
    assert (again.again, again.receipt["error"], again.receipt["by"]) == (True, "cancelled", "ada")
    assert poster.refused("hello")["error"] == "cancelled"


def test_what_never_crossed_the_line_runs_once_a_person_approves(poster: Poster) -> None:
    claim = poisoned(poster)
    [listed] = poster.ledger.held(AGENT)
    assert (listed["key"], listed["payload"]) == (claim.key, None)

    assert say(poster, claim.key, "approve") == "waiting"

    assert nothing_is_left_of_the_doubt(poster, claim)
    again = poster.claim(poster.call("hello", id=claim.call))
    assert again.attempt == 1
    poster.cross(again)
    assert poster.settle(again) is None


def test_an_approved_call_is_poison_again_only_after_three_more_workers(poster: Poster) -> None:
    claim = poisoned(poster)
    say(poster, claim.key, "approve")
    call = poster.call("hello", id=claim.call)

    stands = [poster.reclaim(poster.claim(call), dead=True) for _ in range(3)]

    assert stands == ["queued", "queued", "held"]


@pytest.mark.parametrize("how", ["applied", "not-applied", "cancel"])
def test_the_word_names_who_and_why_and_what_was_before_and_is_in_the_journal(poster: Poster, how: How) -> None:
    claim = poster.doubt()
    before = poster.revision()

    to = say(poster, claim.key, how)

    told = poster.story(claim.key)[-1]
    assert (told["event"], told["how"], told["by"], told["why"]) == ("resolved", how, "ada", "I looked")
    assert (told["before"], told["state"]) == ("unknown", to)
    assert poster.revision() > before
    [record] = poster.records("resolved")
    assert (record["key"], record["how"], record["fence"], record["by"]) == (claim.key, how, claim.fence, "ada")


@pytest.mark.parametrize(("how", "state"), [("applied", "done"), ("not-applied", "waiting"), ("cancel", "cancelled")])
def test_a_person_s_word_survives_the_loss_of_redis(poster: Poster, how: How, state: str) -> None:
    claim = poster.doubt(poster.register())
    say(poster, claim.key, how)
    poster.redis.flushall()

    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())

    assert state_of(poster, claim) == state


@pytest.mark.parametrize("waits", [0, HOUR])
def test_a_call_that_has_not_begun_can_be_cancelled_by_its_key(poster: Poster, waits: int) -> None:
    call = poster.register(delay_ms=waits)

    assert say(poster, call.key, "cancel") == "cancelled"

    assert poster.redis.zcard(poster.n.queued) == poster.redis.zcard(poster.n.waiting) == 0
    assert poster.call_of(call)["state"] == "cancelled"


@pytest.mark.parametrize(("how", "state"), [("applied", "done"), ("not-applied", "waiting")])
def test_who_cancelled_too_early_may_think_again(poster: Poster, how: How, state: str) -> None:
    """The attempt said itself that it ended; a cancellation in between does not unsay it."""
    claim = poster.doubt(poster.register())
    say(poster, claim.key, "cancel")

    assert say(poster, claim.key, how) == state
    assert nothing_is_left_of_the_doubt(poster, claim)


def test_a_cancelled_call_that_is_sent_after_all_answers_nothing_of_its_cancellation(poster: Poster) -> None:
    call = poster.register()
    claim = poster.doubt(call)
    say(poster, claim.key, "cancel")

    say(poster, claim.key, "not-applied")

    assert "answer" not in poster.call_of(call)
    assert poster.claim(call)


def test_after_a_person_s_word_absence_may_be_proven_as_often_as_before(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure(drain="1s", absences=1)).open()
    call = poster.register()

    def proofs() -> int:
        """How often it is sent again until a person is asked."""
        for number in range(10):
            claim = poster.doubt(call)
            here = owner.boot_clock()
            if poster.look(claim, Moment(here.boot, here.ms + HOUR))[0] == "held":
                return number
        return 10

    first = proofs()
    say(poster, call.key, "not-applied")

    assert proofs() == first == MAX_PROOFS


def test_what_is_out_there_after_all_is_marked_again(poster: Poster) -> None:
    """Freed, stopped before it was sent, and then somebody found it."""
    claim = poster.doubt(poster.register())
    words: list[How] = ["not-applied", "cancel", "applied"]
    for how in words:
        say(poster, claim.key, how)

    assert poster.marks() == {claim.key: str(claim.fence)}


def test_an_effect_that_a_person_saw_though_it_never_crossed_the_line_closes_nothing(poster: Poster) -> None:
    """Somebody may have posted by hand what was held."""
    claim = poisoned(poster)

    assert say(poster, claim.key, "applied") == "done"

    assert poster.replayed("hello")
    assert poster.claim("another")


def test_the_same_after_a_recovery(poster: Poster) -> None:
    claim = poisoned(poster)
    say(poster, claim.key, "applied")
    poster.redis.flushall()
    recover(poster.redis, poster.ledger.journal, lambda _task, _kwargs: [], Progress())
    poster.open()

    assert poster.replayed("hello")
    assert poster.claim("another")


def test_the_place_of_what_is_sent_again_in_the_cap_is_taken_once(poster_with: WithPolicies) -> None:
    poster = poster_with(cap="2/day").open()
    call = poster.register()
    say(poster, poster.doubt(call).key, "not-applied")

    again = poster.claim(call)
    poster.cross(again)
    poster.settle(again)

    assert not poster.document()["paused"]
    assert poster.claim("other")


@pytest.mark.parametrize("how", ["not-applied", "approve"])
def test_what_a_person_wants_sent_waits_while_the_agent_is_paused(poster: Poster, how: How) -> None:
    """Who is woken pauses first, and looks then; nobody else would ask for the call again."""
    claim = poisoned(poster) if how == "approve" else poster.doubt(poster.register())
    poster.redis.hset(poster.n.agent_meta, "pause", '{"at": 1, "by": "ada", "why": "looking"}')
    say(poster, claim.key, how)
    call = poster.call("hello", id=claim.call)

    assert poster.deferred(call)["stage"] == "paused"
    poster.redis.hdel(poster.n.agent_meta, "pause")

    assert poster.claim(call)


def test_what_a_person_wants_sent_does_not_expire(poster: Poster) -> None:
    call = poster.call()
    poster.ledger.register(call, expires_ms=HOUR)
    claim = poster.doubt(call)
    poster.redis.hset(poster.n.call(call.id), "expires_ms", poster.now() - 1)

    say(poster, claim.key, "not-applied")

    assert poster.claim(call)


# "kept": it was decided meanwhile


def script(poster: Poster, claim: Claim, how: How, *, state: str, fence: int) -> list[Any]:
    """The script itself, with the state and the fence that the person saw."""
    keys = poster.n.of(claim.key, claim.call)
    said = {
        "how": how,
        "result": "{}",
        "payload": "",
        "revised": "",
        "seen": "",
        "decision": Resolution(how, "ada", "I looked").said("").as_json(),
    }
    return Script("resolve")(poster.redis, keys, key=claim.key, **said, seen_state=state, seen_fence=str(fence))


def test_a_word_about_a_state_that_passed_changes_nothing(poster: Poster) -> None:
    claim = poster.doubt()
    poster.settle(claim)
    before = poster.dump()

    assert script(poster, claim, "not-applied", state="unknown", fence=claim.fence) == ["kept", "done"]

    assert poster.dump() == before


def test_a_word_about_an_earlier_attempt_changes_nothing(poster: Poster) -> None:
    call = poster.register()
    seen = poster.doubt(call)
    say(poster, seen.key, "not-applied")
    poster.doubt(call)
    before = poster.dump()

    assert script(poster, seen, "not-applied", state="unknown", fence=seen.fence) == ["kept", "unknown"]

    assert poster.dump() == before


def test_a_word_about_a_key_that_is_gone_changes_nothing(poster: Poster) -> None:
    claim = poster.doubt()
    poster.redis.flushall()

    assert script(poster, claim, "applied", state="unknown", fence=claim.fence) == ["kept", "gone"]

    assert poster.dump() == {}


def test_of_two_people_who_speak_at_once_one_is_heard(
    poster: Poster, together: Callable[[int, Callable[[int], Any]], list[Any]]
) -> None:
    claim = poster.doubt()
    words: list[How] = ["applied", "cancel"]

    def speak(number: int) -> str:
        return str(script(poster, claim, words[number % 2], state="unknown", fence=claim.fence)[0])

    assert sorted(together(8, speak)) == ["kept"] * 7 + ["resolved"]
    assert [told["event"] for told in poster.story(claim.key)].count("resolved") == 1


def test_a_settle_after_a_person_s_word_counts_nothing_twice(poster: Poster) -> None:
    claim = poster.doubt()
    say(poster, claim.key, "applied")

    poster.settle(claim, "done", counters={"total_done": 1})

    assert poster.metrics()["total_done"] == 1
    assert state_of(poster, claim) == "done"


def test_an_owner_that_comes_back_after_a_forced_word_with_done_is_believed(poster: Poster) -> None:
    """What happened, happened; it must not be sent again."""
    call = poster.register()
    claim = poster.doubt(call, how="lease ended")
    say(poster, claim.key, "not-applied", force=True)

    assert poster.settle(claim, "done") is None

    assert state_of(poster, claim) == "done"
    assert poster.replayed(call)


def test_a_look_up_that_was_under_way_changes_nothing_after_a_person_s_word(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt()
    asked = poster.asked(claim)
    say(poster, claim.key, "applied")
    here = owner.boot_clock()

    assert poster.look(asked, Moment(here.boot, here.ms + HOUR)) == ["kept", "done"]
    assert poster.redis.zscore(poster.n.waiting, claim.call) is None


# What is said no to


@pytest.mark.parametrize(
    ("how", "stands"),
    [
        ("applied", "done"),
        ("applied", "claimed"),
        ("applied", "rejected"),
        ("not-applied", "done"),
        ("not-applied", "sending"),
        ("not-applied", "queued"),
        ("cancel", "done"),
        ("cancel", "claimed"),
        ("cancel", "sending"),
        ("approve", "unknown"),
        ("approve", "queued"),
    ],
)
def test_a_word_that_does_not_fit_the_state_is_refused_and_changes_nothing(
    poster: Poster, how: How, stands: str
) -> None:
    call = poster.register()
    match stands:
        case "unknown":
            poster.doubt(call)
        case "rejected":
            poster.settle(poster.claim(call), "failed")
        case "claimed" | "sending" | "done":
            claim = poster.claim(call)
            if stands != "claimed":
                poster.cross(claim)
            if stands == "done":
                poster.settle(claim)
    before = poster.dump()

    with pytest.raises(NotResolved, match=f"is {stands}; this resolution is for keys that are"):
        say(poster, call.key, how)

    assert poster.dump() == before
    assert poster.records("resolved") == []


def test_what_crossed_the_line_cannot_be_approved(poster_with: WithPolicies) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt(how="lease ended")
    here = owner.boot_clock()
    for n in range(20):
        poster.look(claim, Moment(here.boot, here.ms + n))
    assert state_of(poster, claim) == "held"

    with pytest.raises(NotResolved, match="its effect began, so running it again may double it"):
        say(poster, claim.key, "approve")


@pytest.mark.parametrize("stands", ["unknown", "held"])
def test_what_somebody_may_still_send_is_not_freed_without_force(poster_with: WithPolicies, stands: str) -> None:
    poster = poster_with(effect=sure()).open()
    claim = poster.doubt(how="lease ended")
    here = owner.boot_clock()
    for n in range(20 if stands == "held" else 1):
        poster.look(claim, Moment(here.boot, here.ms + n))
    assert state_of(poster, claim) == stands

    with pytest.raises(NotResolved, match=r"may still send it.*--force"):
        say(poster, claim.key, "not-applied")
    assert state_of(poster, claim) == stands

    assert say(poster, claim.key, "not-applied", force=True) == "waiting"


def test_the_proof_of_death_is_asked_for_when_the_person_speaks(poster: Poster) -> None:
    claim = poster.doubt(owner=poster.a_dead_process(), how="lease ended")

    assert say(poster, claim.key, "not-applied") == "waiting"


def test_an_owner_that_lives_may_be_overruled_with_applied_or_cancel(poster: Poster) -> None:
    one, two = poster.doubt("one", how="lease ended"), poster.doubt("two", how="lease ended")

    assert say(poster, one.key, "applied") == "done"
    assert say(poster, two.key, "cancel") == "cancelled"


def test_a_key_that_nobody_knows_cannot_be_resolved(poster: Poster) -> None:
    with pytest.raises(NotResolved, match=r"no such key; see: .*gatehouse held"):
        say(poster, "post:feed:nothing", "applied")


def test_without_a_journal_a_word_is_not_heard(poster: Poster) -> None:
    """It would be forgotten with Redis."""
    claim = poster.doubt()
    folder = poster.ledger.journal.folder
    folder.rename(folder.with_name("away"))
    folder.touch()  # not even root can write into a folder that is a file
    before = poster.dump()

    with pytest.raises(OSError, match="journal"):
        say(poster, claim.key, "applied")

    assert poster.dump() == before


def test_keys_that_wait_for_a_person_are_listed_oldest_first_with_what_was_sent(poster: Poster) -> None:
    for name in ("one", "two", "three"):
        poster.doubt(name)
    for since, name in enumerate(("three", "one", "two"), 1_700_000_000_000):
        key = f"post:feed:{name}"
        entry = {"key": key, "state": "unknown", "since": since, "why": "read timeout"}
        poster.redis.hset(poster.n.held, key, json.dumps(entry))
        poster.redis.zadd(poster.n.waits, {key: since})

    listed = poster.ledger.held(AGENT)

    assert [entry["key"] for entry in listed] == ["post:feed:three", "post:feed:one", "post:feed:two"]
    assert {(entry["payload"], entry["why"], entry["agent"]) for entry in listed} == {("hello", "read timeout", AGENT)}
