"""A replica takes the place of the primary: what it lost closes effects, and the old primary cannot begin one any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state.decision import NeedsResync
from state.model import Claim
from state.recovery.rebuild import Progress
from state.recovery.recover import recover
from tests.harness import Node, RedisGroup, until
from tests.scripts.poster import AGENT, Poster, a_gate


class Pair:
    """A poster on the primary and one on its replica, with one journal; no sentinel decides."""

    def __init__(self, group: RedisGroup) -> None:
        self.group = group
        self.old, self.new = (each.start() for each in group.nodes)
        until(self.old.is_replicated, 20, "the replica to follow")
        self.here = Poster(self.old.client(), a_gate()).open()
        self.here.publish("before")
        assert self.old.is_replicated()

    def cut(self) -> None:
        """Let the replica learn of nothing more."""
        self.group.cut_off(self.old)
        until(lambda: self.new.client().info("replication")["master_link_status"] == "down", what="the link to be cut")

    def promote(self) -> Poster:
        """Make the replica the primary, and return the poster of a process that asked for it."""
        self.new.client().execute_command("REPLICAOF", "NO", "ONE")
        there = Poster(self.new.client(), self.here.gate)
        there.known = there.ledger.known(AGENT)
        return there


@pytest.fixture
def pair() -> Iterator[Pair]:
    group = RedisGroup()
    yield Pair(group)
    group.close()


def end(node: Node) -> None:
    node.kill9()


def test_a_replica_that_lost_nothing_goes_on_by_itself(pair: Pair) -> None:
    end(pair.old)
    there = pair.promote()

    assert isinstance(there.admit("after"), NeedsResync)
    assert there.ledger.resync(AGENT) is None
    there.open()
    assert isinstance(there.admit("after"), Claim)


def test_a_replica_that_lost_an_effect_closes_effects_until_it_is_rebuilt(pair: Pair) -> None:
    pair.cut()
    claim = pair.here.claim("lost")
    assert pair.here.cross(claim)[0] == "sending"
    assert pair.here.settle(claim, journaled=True) is None
    end(pair.old)
    there = pair.promote()

    assert "fell back to fence" in str(there.ledger.resync(AGENT))
    assert there.redis.exists(there.n.key("post:feed:lost")) == 0

    recover(there.redis, there.ledger.journal, lambda *_: [], Progress())
    there.open()
    assert there.replayed("lost")
    assert isinstance(there.admit("after"), Claim)


def test_the_old_primary_begins_no_effect_once_the_new_one_is_open(pair: Pair) -> None:
    claim = pair.here.claim("both")
    assert pair.old.is_replicated()
    pair.cut()
    there = pair.promote()
    assert there.ledger.resync(AGENT) is None

    assert pair.here.cross(claim) == ["closed"]
    assert pair.here.ledger.resync(AGENT), "the old primary stays closed"


def test_an_effect_that_the_old_primary_began_is_known_to_the_new_one(pair: Pair) -> None:
    claim = pair.here.claim("both")
    assert pair.old.is_replicated()
    pair.cut()
    assert pair.here.cross(claim)[0] == "sending"
    there = pair.promote()
    assert there.key_of(claim)["state"] == "claimed"

    assert there.ledger.resync(AGENT) is None

    assert there.key_of(claim)["state"] in {"sending", "unknown"}
    there.open()
    assert not isinstance(there.admit("both"), Claim)


def test_a_claim_that_only_the_old_primary_knows_closes_the_new_one(pair: Pair) -> None:
    pair.cut()
    claim = pair.here.claim("both")
    assert pair.here.cross(claim)[0] == "sending"
    there = pair.promote()

    assert "fell back to fence" in str(there.ledger.resync(AGENT))
