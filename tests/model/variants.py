"""What is searched: the protocol in several scopes, and the protocol without one of its defences."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.search import UNREAD
from tests.model.world import Rules, Scope

TWICE = "the effect happened twice"
FREED = "the key is free, but its effect happened or may still happen"
OTHER_PAYLOAD = "two attempts sent different payloads"

#: With all defences, the protocol must break no promise in any of these.
SOUND = {
    "4 attempts": Scope(4),
    "3 attempts, late sweepers and look-ups": Scope(3, late=True),
    "1 flush, late sweepers and look-ups": Scope(2, 1, ("flush",), late=True),
    "1 eviction, late sweepers and look-ups": Scope(2, 1, ("evict",), late=True),
    "2 flushes": Scope(2, 2, ("flush",)),
    "1 rollback": Scope(2, 1, ("rollback",)),
    "1 restart that loses nothing": Scope(2, 1, ("restart",)),
    "1 rollback, and a comparison or a recovery that dies": Scope(2, 1, ("rollback",), spare=1),
    "a recovery that dies, or was not needed": Scope(2, spare=1),
    "an agent that asks, 3 attempts": Scope(3, asks=True),
    "an agent that asks, 1 flush, 1 edit": Scope(2, 1, ("flush",), asks=True, edits=1),
    "an agent that asks, 1 rollback": Scope(2, 1, ("rollback",), asks=True),
    "2 hosts, one of which may go for good": Scope(2, hosts=2, fates=1),
    "2 hosts, 2 look-ups at once": Scope(2, hosts=2, looks=2),
    "2 hosts, and a person says falsely that one is gone, after its leases": Scope(2, hosts=2, false_word=True),
    "1 failover of Redis, while workers write to the old primary": Scope(2, 1, ("split",)),
    "a database whose answers are lost, 1 flush, 1 synchronous standby": Scope(
        2, 2, ("lost answers", "standby", "flush")
    ),
}
#: Larger scopes, which take minutes instead of seconds.
LONG = {
    "5 attempts": Scope(5),
    "3 attempts, 1 flush, late": Scope(3, 1, ("flush",), late=True),
    "3 attempts, 1 rollback": Scope(3, 1, ("rollback",)),
    "1 rollback, late": Scope(2, 1, ("rollback",), late=True),
    "1 rollback, while another key moves the fence": Scope(2, 1, ("rollback",), other_keys=2),
    "1 flush, a recovery that dies": Scope(2, 1, ("flush",), spare=1),
    "2 restarts": Scope(2, 2, ("restart",)),
    "an agent that asks, 3 attempts, 1 flush, 1 edit": Scope(3, 1, ("flush",), asks=True, edits=1),
    "2 losses: flush, rollback or eviction": Scope(2, 2, ("flush", "rollback", "evict")),
    "2 hosts, 3 attempts, one host may go for good": Scope(3, hosts=2, fates=1),
    "1 standby that lags, then 1 flush": Scope(2, 2, ("lagging standby", "flush")),
}


_TWO = Scope(2)


@dataclass(frozen=True)
class Variant:
    """The protocol without one defence, and the promise that it breaks."""

    lacks: str
    rules: Rules
    scope: Scope = _TWO
    breaks: str = TWICE


_ASKS = Scope(3, asks=True)
_HOSTS, _FALSE_WORD, _SPLIT = Scope(2, hosts=2), Scope(2, hosts=2, false_word=True), Scope(2, 1, ("split",))
_FLUSH, _FLUSHES, _ROLLBACK = Scope(2, 1, ("flush",)), Scope(2, 2, ("flush",)), Scope(2, 1, ("rollback",))

#: Each must be found bad.
BAD = (
    Variant("fence: compare-and-set and settle look at the state only", Rules(fence=False)),
    Variant("unknown: an error frees the key", Rules(release=True)),
    Variant("fence: a claim whose lease ended is taken over in any state", Rules(takeover=True)),
    Variant("verify: an unknown outcome is simply tried again", Rules(blind_retry=True)),
    Variant("proof: one look-up says absent, and it is tried again", Rules(death_proof=False, drain=False)),
    Variant("death proof: drain and look-up only", Rules(death_proof=False)),
    Variant("drain: death proof and look-up only", Rules(drain=False)),
    Variant("drain from the death on: it is counted from the start of the effect", Rules(drain_from_death=False)),
    Variant("a look-up counts by what is proven when its result is written", Rules(judged_when_asked=False), Scope(2, late=True)),
    Variant("a late look-up counts for whichever attempt is in doubt", Rules(same_attempt=False), Scope(3, late=True)),
    Variant("journal: nothing is written outside Redis", Rules(journal=False), _FLUSH),
    Variant("journal first: written after the compare-and-set", Rules(intent_first=False, journal_epoch=False), _FLUSH),
    Variant("owner in the journal: an attempt is named by its fence", Rules(named_by_owner=False), _FLUSH, FREED),
    Variant("epoch: an empty ledger is taken for a new one",
            Rules(epoch=False, journal_epoch=False, floor=False, run=False), _FLUSH),
    Variant("epoch at admission: an empty ledger is given the journal's epoch", Rules(adopts=True), _FLUSH),
    Variant("mark: an evicted key is taken for a new one", Rules(mark=False), Scope(2, 1, ("evict",))),
    Variant("server run: a restarted server is trusted", Rules(run=False), _ROLLBACK),
    Variant("floor: the fence is not compared with the journal's", Rules(floor=False), _ROLLBACK),
    Variant("check after a restart: a claim with an intent in the journal stays claimed", Rules(audit_moves=False), _ROLLBACK),
    Variant("check after a restart: no new epoch begins", Rules(audit_epoch=False), _ROLLBACK, FREED),
    Variant("payload: one that was proven absent is dropped like a refused one", Rules(keeps_doubted=False), _TWO, OTHER_PAYLOAD),
    Variant("approval: an agent that asks begins an effect that nobody approved", Rules(approval=False), _ASKS, UNREAD),
    Variant("approval: any text may be sent once one was approved", Rules(exact=False), _ASKS, UNREAD),
    Variant("approval: it is not compared with what the person saw", Rules(seen=False), _ASKS, UNREAD),
    Variant("approval: after a loss it counts for a later question too", Rules(decision_names_attempt=False),
            Scope(3, 1, ("flush",), asks=True), UNREAD),
    Variant("death over hosts: a lock that is not here counts as free", Rules(own_dead=False), _HOSTS, FREED),
    Variant("death over hosts: a look-up begins the drain although it began before the report", Rules(knows="nothing"), _HOSTS, FREED),
    Variant("death over hosts: only the first look-up after the report does not", Rules(knows="one look"), Scope(2, hosts=2, looks=2), FREED),
    Variant("false word of a person, and an attempt past its lease sends", Rules(lease=False), _FALSE_WORD),
    Variant("false word of a person, and an attempt stops between its lease and its first byte", Rules(lease_gap=True), _FALSE_WORD),
    Variant("two primaries: an attempt does not read the journal after its intent", Rules(journal_epoch=False), _SPLIT),
    Variant("two primaries: an intent may come between an epoch's number and its commit", Rules(epoch_alone=False), _SPLIT),
    Variant("database: a record that it did not confirm counts as written", Rules(confirmed=False), Scope(2, 2, ("lost answers", "standby", "flush"))),
    Variant("database: nothing is put back after a standby that lagged", Rules(put_back=False), Scope(2, 2, ("lagging standby", "flush"), patient=True)),
    Variant("recovery: opens effects whatever it finds at the end", Rules(recovery_token=False), _FLUSHES),
    Variant("recovery: freezes the payload of the first intent, not of the newest",
            Rules(newest_payload=False), Scope(3, 1, ("flush",)), OTHER_PAYLOAD),
)  # fmt: skip
