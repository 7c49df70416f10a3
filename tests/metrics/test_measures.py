"""The counters behind /metrics: their names are read back as they were written."""

from __future__ import annotations

from state.agents import measures


def test_an_attempt_is_one_counter_with_both_its_durations() -> None:
    name = measures.of_attempt("tasks.publisher.publish", "done", 1200, 40)

    assert name == "call tasks.publisher.publish done 2500 100"
    found = measures.read({name: "3"})
    assert found.calls == {("tasks.publisher.publish", "done"): 3}
    assert dict(found.ran["tasks.publisher.publish"].cumulated()) | {} == {
        **dict.fromkeys(("0.1", "0.25", "0.5", "1"), 0),
        **dict.fromkeys(("2.5", "5", "10", "30", "60", "120", "300", "+Inf"), 3),
    }
    assert dict(found.waited["tasks.publisher.publish"].cumulated())["0.1"] == 3


def test_a_call_without_a_message_did_not_wait() -> None:
    found = measures.read({measures.of_attempt("a.b", "failed", 10, None): "1"})

    assert dict(found.ran["a.b"].cumulated())["+Inf"] == 1
    assert dict(found.waited["a.b"].cumulated())["+Inf"] == 0


def test_a_duration_is_in_the_first_bucket_that_it_does_not_exceed() -> None:
    assert [measures.bucket(ms) for ms in (0, 100, 101, 300_000, 300_001)] == ["100", "100", "250", "300000", "over"]


def test_an_entry_may_have_spaces_in_its_name() -> None:
    found = measures.read({measures.of_tick("the nightly run", "skipped"): "2"})

    assert found.ticks == {("the nightly run", "skipped"): 2}


def test_refusals_and_lost_claims_are_read_from_the_agents_totals() -> None:
    found = measures.read({"total_refused": "4", "refused_rate": "4", "refused_rate a.b": "4", "lost a.b": "1"})

    assert found.refused == {("a.b", "rate"): 4}
    assert found.calls == {("a.b", "lost"): 1}


def test_a_counter_of_another_version_is_left_out() -> None:
    assert measures.read({"call a.b done 100 100 more": "1", "what is this": "5"}) == measures.Measures()
