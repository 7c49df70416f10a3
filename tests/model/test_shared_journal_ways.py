"""Ways through the model that are too long for the search: what a lagging standby may cost, and what bounds it."""

from __future__ import annotations

import pytest

from tests.model.search import broken, steps
from tests.model.variants import TWICE
from tests.model.world import Rules, Scope, World

LAGS = Scope(2, 3, ("lagging standby", "flush", "restart"), hosts=2, fates=1)
SENT = ["claim", "intent", "cross", "send", "apply"]
#: The host that sent is gone, the new primary lacks its intent, and the other host begins with what is there.
FELL_BACK = [*SENT, "lose host", "fail over to a lagging standby", "copy anew"]
RECOVERED = ["flush", "begin recovery", "read journal", "rebuild key", "open effects"]


def walk(rules: Rules, way: list[str]) -> World:
    """Take these steps; a standby lags from the first intent on, and host 0 is the one that is gone."""
    world = LAGS.start()
    for what in way:
        after = [one for _, name, _, one in steps(world, rules, LAGS) if name == what]
        assert after, f"{what} is not possible after {world}"
        world = max(after, key=lambda one: (one.standby is not None, one.gone == 1))
    return world


def test_a_lagging_standby_and_a_loss_of_redis_at_once_double_the_effect_of_a_host_that_is_gone() -> None:
    """This is what `gate doctor` warns of."""
    end = walk(Rules(), [*FELL_BACK, *RECOVERED, *SENT])

    assert broken(end, Rules()) == TWICE


def test_once_the_journal_has_taken_over_what_redis_knows_the_effect_is_in_doubt() -> None:
    end = walk(Rules(), [*FELL_BACK, "take over", *RECOVERED])

    assert end.ledger.state == "unknown"


@pytest.mark.parametrize(
    ("rules", "between"),
    [
        (Rules(take_over=False), []),
        (Rules(epoch_takes_over=False), ["restart", "audit", "reopen"]),
    ],
    ids=["nothing is taken over", "an epoch hides that nothing was taken over"],
)
def test_without_the_takeover_a_later_loss_doubles_it(rules: Rules, between: list[str]) -> None:
    end = walk(rules, [*FELL_BACK, *between, *RECOVERED, *SENT])

    assert broken(end, rules) == TWICE


def test_an_epoch_that_begins_first_takes_over_too() -> None:
    end = walk(Rules(), [*FELL_BACK, "restart", "audit", "reopen", *RECOVERED])

    assert end.ledger.state == "unknown"


def test_a_host_that_lives_puts_back_what_the_standby_lacks() -> None:
    lives = [*SENT, "fail over to a lagging standby", "copy anew", *RECOVERED]

    assert walk(Rules(), lives).ledger.state == "unknown"
    assert broken(walk(Rules(put_back=False), [*lives, *SENT]), Rules()) == TWICE
