"""Ways in which the effect once happened twice, or effects stayed closed; found by the model, walked on the real thing."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from state.recovery import epoch
from tests.model.stage import Stage


def send(stage: Stage, number: int) -> None:
    """Claim the key, begin the effect and send."""
    stage.claim(number)
    stage.intent(number)
    assert stage.cross(number) == "sending"
    stage.send(number)


def recover(stage: Stage) -> None:
    stage.begin_recovery()
    assert stage.finish_recovery() == ""
    assert stage.is_open


def restart_between(stage: Stage, older: dict[str, bytes]) -> None:
    stage.roll_back(older)
    assert stage.audit()


def test_a_claim_that_fell_back_from_inside_the_effect_is_not_queued(stage: Stage) -> None:
    stage.claim(0)
    stage.intent(0)
    older = stage.copy()
    assert stage.cross(0) == "sending"
    stage.send(0)
    restart_between(stage, older)
    stage.attempts[0].kill()
    assert stage.state == "unknown"


def test_a_claim_that_came_back_with_an_older_ledger_does_not_begin_its_effect(stage: Stage) -> None:
    stage.claim(0)
    older = stage.copy()
    stage.reclaim(0)
    send(stage, 1)
    stage.roll_back(older)
    stage.intent(0)
    assert stage.cross(0) != "sending"


def test_a_claim_from_before_a_restart_does_not_begin_its_effect_after_it(stage: Stage) -> None:
    stage.claim(0)
    older = stage.copy()
    stage.reclaim(0)
    stage.claim(1)
    restart_between(stage, older)
    stage.intent(1)
    assert stage.cross(1) != "sending"
    stage.intent(0)
    assert stage.cross(0) != "sending", "it would be sent while the journal takes W2 for the newest"


def test_a_ledger_that_is_lost_while_it_is_compared_is_not_opened(stage: Stage) -> None:
    send(stage, 0)
    stage.restart()
    reopen = epoch.reopen

    def losing(*args: Any) -> bool:
        stage.flush()
        return reopen(*args)

    with patch.object(epoch, "reopen", losing):
        assert not stage.audit()
    assert not stage.is_open


def test_a_fence_that_is_given_twice_does_not_free_the_key(stage: Stage) -> None:
    stage.claim(0)
    stage.flush()
    recover(stage)
    send(stage, 1)
    assert stage.attempts[0].claim.fence == stage.attempts[1].claim.fence
    stage.attempts[1].kill()
    stage.intent(0)
    assert stage.cross(0) != "sending"
    assert stage.reclaim(1) == "unknown", "W1, which sent nothing, spoke for W2, which did"
    stage.flush()
    recover(stage)
    assert (stage.state, stage.holder) == ("unknown", 1)


def test_an_intent_between_the_reading_and_the_opening_keeps_nothing_closed(stage: Stage) -> None:
    stage.claim(0)
    stage.flush()
    stage.begin_recovery()
    stage.go_on_with_recovery()
    stage.intent(0)
    assert stage.cross(0) != "sending"
    assert stage.finish_recovery() == ""
    assert stage.is_open


def test_an_intent_from_before_a_loss_keeps_nothing_closed(stage: Stage) -> None:
    stage.claim(0)
    stage.flush()
    recover(stage)
    stage.intent(0)
    assert stage.cross(0) != "sending"
    assert stage.is_open


def test_a_recovery_in_which_redis_is_lost_again_opens_nothing(stage: Stage) -> None:
    send(stage, 0)
    stage.flush()
    stage.begin_recovery()
    stage.go_on_with_recovery()
    stage.go_on_with_recovery()
    stage.flush()
    assert stage.finish_recovery()
    assert not stage.is_open


def test_the_text_of_an_attempt_that_never_crossed_the_line_is_not_the_one_that_is_looked_up(stage: Stage) -> None:
    stage.claim(0)
    stage.intent(0)
    stage.attempts[0].kill()
    stage.reclaim(0)
    send(stage, 1)
    stage.flush()
    recover(stage)
    assert stage.redis.hget(stage.n.key("post:feed:hello"), "payload") == stage.attempts[1].text


def test_a_recovery_asks_the_newest_attempt_for_its_death(stage: Stage) -> None:
    send(stage, 0)
    older = stage.copy()
    stage.arrive(0, "refused")
    stage.outcome(0, "failed")
    assert stage.settle(0) is None
    send(stage, 1)
    stage.roll_back(older)
    recover(stage)
    assert (stage.state, stage.holder) == ("unknown", 1)


def test_a_worker_that_paused_before_the_effect_is_no_proof_of_its_own_death(stage: Stage) -> None:
    send(stage, 0)
    stage.reclaim(0)
    stage.look(0)
    stage.wait()
    assert stage.look(0)[0] == "unknown"
    stage.attempts[0].kill()
    assert stage.look(0)[0] == "unknown"
    stage.wait()
    assert stage.look(0) == ["waiting"]


def test_a_settle_that_was_rolled_back_before_the_effect_keeps_a_text_in_doubt(stage: Stage) -> None:
    stage.claim(0)
    older = stage.copy()
    stage.intent(0)
    assert stage.cross(0) == "sending"
    stage.send(0)
    stage.arrive(0, "lost")
    stage.outcome(0, "unknown")
    stage.roll_back(older)
    stage.settle(0)
    assert stage.audit()
    stage.wait()
    assert stage.look(0) == ["waiting"]
    stage.claim(1)
    assert stage.attempts[1].text == stage.attempts[0].text


def test_who_proves_that_nothing_happened_leaves_no_text_behind_also_if_redis_fell_back_meanwhile(stage: Stage) -> None:
    stage.claim(0)
    older = stage.copy()
    stage.intent(0)
    assert stage.cross(0) == "sending"
    stage.send(0)
    stage.arrive(0, "refused")
    stage.outcome(0, "failed")
    stage.roll_back(older)
    stage.settle(0)
    assert stage.audit()
    stage.claim(1)
    assert stage.attempts[1].text != stage.attempts[0].text
