"""What the model's world consists of: a ledger, a journal, attempts at one key, and those who clean up behind them.

Everything is a tuple, so that two worlds that look alike are one state of the search. There is one key. An attempt is
named by its number, which stands for its owner as well: no two attempts share one. Time does not exist: a lease may end
whenever somebody asks, and a drain ends when all that was on its way as it began has arrived or is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

NOBODY = -1


class Ledger(NamedTuple):
    """What Redis holds. A loss of the store changes all of it at once."""

    epoch: int = 1  #: 0: there is none
    run: int = 0  #: the run of the server in which it was last found whole
    recovering: int = 0  #: the epoch that a recovery is about to bring, and its token; 0: there is none at work
    fence: int = 0
    state: str = (
        "none"  #: none waiting claimed sending unknown done held asked; `waiting` is `queued` and `rejected` as well
    )
    owner: int = NOBODY
    payload: int = NOBODY  #: frozen when the key first began its effect: the attempt whose text it is
    mark: bool = False  #: this key began its effect once
    settled: bool = False  #: its owner said itself how it ended
    gone: bool = False  #: its owner can send nothing any more
    drain: str = ""  #: "", running, over
    told: bool = False  #: its owner's death was reported, and no look-up has taken note of it
    proposal: int = NOBODY  #: the text about which a person is asked, or that a person approved
    approved: bool = False  #: it may be sent


class Attempt(NamedTuple):
    """One execution. `step` is where its process stands; the rest is what it knows, wrote and sent."""

    fence: int
    epoch: int
    payload: int
    step: str = "claimed"  #: claimed ready crossed sent answered written asking gone
    journal: str = ""  #: what the journal says of it: "", asked, intent, unknown, failed, done
    answer: str = ""  #: what came back: done, failed (proof that nothing happened), unknown
    wire: str = ""  #: its request: "", flying, draining (flying since before the drain began), applied, refused, lost, proven (refused, and heard)
    approved: bool = False  #: its text is one that a person approved, as its claim says
    host: int = 0
    late: bool = False  #: its lease has ended by its own clock
    unsure: bool = False  #: the database did not confirm its intent
    behind: bool = False  #: its intent has a number behind that of an epoch that nobody could see yet


class Recovery(NamedTuple):
    """`gate recover` at work: what it read in the journal and is about to write."""

    epoch: int
    run: int  #: of the server, when it began
    read: bool = False  #: it read the journal
    owner: int = NOBODY  #: the newest attempt there
    journal: str = ""  #: and what is said of it
    payload: int = NOBODY
    text: int = NOBODY  #: that a person approved, if the newest attempt asked
    written: bool = False  #: it wrote the key


class LookUp(NamedTuple):
    """A provider that was asked and said: absent. Whether that was proof when it was asked, and what followed."""

    owner: int
    proof: bool
    written: bool = False  #: the journal has it


class Journal(NamedTuple):
    """What a standby has of the journal."""

    epoch: int
    before: int
    words: tuple[str, ...]  #: of each attempt
    other: int


class RemoteLook(NamedTuple):
    """A look-up under way on a host that cannot see the owner's lock."""

    owner: int
    knew_death: bool  #: the death was reported when it began
    flying: tuple[int, ...]  #: the attempts whose requests were on their way when it began


class Reclaim(NamedTuple):
    """A sweeper that is about to take a claim away, and what it read in the journal before."""

    owner: int
    journal: str


class Audit(NamedTuple):
    """After a restart of the server: what the journal was found to say, before the ledger is taken for whole."""

    epoch: int  #: that it appended to the journal before it read it
    run: int  #: of the server, when it began
    owner: int = NOBODY  #: an attempt that the ledger has before the effect, although the journal has its intent
    journal: str = ""  #: and what is said of it


class World(NamedTuple):
    """One state of everything. `epoch` is the journal's; what it says of each attempt stands with the attempt."""

    ledger: Ledger = Ledger()
    attempts: tuple[Attempt, ...] = ()
    epoch: int = 1
    before: int = 0  #: the epoch that the ledger has until an audit is over, if it began one
    run: int = 0  #: of the server; another one after every restart
    recovery: Recovery | None = None
    look: LookUp | None = None
    reclaim: Reclaim | None = None
    audit: Audit | None = None
    copy: Ledger | None = None  #: an older ledger, to which the store may fall back
    reading: tuple[int, int] | None = None  #: epoch and highest fence, as a worker read them in the journal a while ago
    other: int = 0  #: the highest fence that the journal holds for another key
    losses: int = 0  #: how often the store may still lose something
    spare: int = 0  #: recoveries that may still die, or run though nothing was lost
    asks: bool = False  #: the agent asks before each effect
    read: tuple[int, ...] = ()  #: the texts that a person approved, or wrote
    seen: int = NOBODY  #: the text that a person looks at
    unsaid: tuple[int, int] | None = (
        None  #: a decision that the journal does not have yet: of which attempt, and the text
    )
    decided: tuple[tuple[int, int], ...] = ()  #: those that it has
    gone: int = 0  #: the hosts that are gone, one bit each
    fates: int = 0  #: how many hosts may still go
    remote: tuple[RemoteLook, ...] = ()
    newest: int = 0  #: the newest epoch that the journal has lost
    standby: Journal | None = None  #: the journal to which a failover falls back
    copied: tuple[tuple[str, ...], ...] = ()  #: by host: what its copy of the journal says of each attempt
    stale: int = 0  #: the hosts that have not copied the journal since the last failover, one bit each
    incomplete: bool = False  #: the journal has not taken over yet what Redis knows
    numbered: bool = False  #: an epoch has its number, and nobody can see it yet
    old: Ledger | None = None  #: of a primary that the sentinels have left, and workers have not
    old_run: int = 0


@dataclass(frozen=True)
class Scope:
    """How far a search goes. Kills, pauses and late deliveries are not bounded; these are."""

    attempts: int = 2
    losses: int = 0
    kinds: tuple[
        str, ...
    ] = ()  #: flush rollback evict restart (which loses nothing) split, standby, lagging standby; lost answers
    patient: bool = False  #: Redis loses nothing before each host and the journal are over a failover of the database
    late: bool = False  #: sweepers and look-ups act on what they saw a while ago
    spare: int = 0
    asks: bool = False  #: the agent asks before each effect
    edits: int = 0  #: texts that persons write instead
    other_keys: int = 0  #: claims of another key of the agent, which move the fence
    hosts: int = 1
    fates: int = 0  #: hosts that go for good, or until they come back
    looks: int = 1  #: look-ups that are under way at once on other hosts than the owner's
    false_word: bool = False  #: a person says of a host that lives that it is gone, once its leases have ended

    def start(self) -> World:
        """A world in which nothing happened yet."""
        return World(losses=self.losses, spare=self.spare, asks=self.asks, fates=self.fates)


@dataclass(frozen=True)
class Rules:
    """The protocol's defences. With all of them it is Gatehouse's; a variant lacks one."""

    journal: bool = True  #: intents and outcomes are written down outside Redis
    intent_first: bool = True  #: the intent is written before the compare-and-set, not after
    named_by_owner: bool = True  #: the journal names an attempt by its owner, not by its fence only
    fence: bool = True  #: compare-and-set and settle compare the owner and its fence
    epoch: bool = True  #: admission and compare-and-set compare the epoch
    journal_epoch: bool = True  #: an intent that lies behind a newer epoch in the journal is not sent
    run: bool = True  #: after a restart of the server nothing passes until the ledger was compared with the journal
    audit_epoch: bool = True  #: and from then on the ledger has a new epoch
    audit_moves: bool = True  #: and a claim whose intent the journal has is moved to sending
    settle_waits: bool = True  #: and until then nothing is settled; nothing breaks without it
    keeps_doubted: bool = True  #: only an attempt's own proof that nothing happened forgets its text
    floor: bool = True  #: admission compares the ledger's fence with the journal's
    mark: bool = True  #: a key that began its effect and has no record closes effects
    release: bool = False  #: an attempt without an answer frees the key
    takeover: bool = False  #: a claim whose lease ended is simply taken over
    blind_retry: bool = False  #: an unknown outcome is sent again
    death_proof: bool = True  #: absent counts only if its owner can send nothing any more
    drain: bool = True  #: absent counts only after the drain
    drain_from_death: bool = True  #: the drain begins with the death proof, not when the effect began
    judged_when_asked: bool = True  #: a look-up counts by what was proven when it was asked
    same_attempt: bool = True  #: a look-up counts only for the attempt it was asked for
    recovery_token: bool = True  #: a recovery goes on only in the ledger that it closed
    newest_payload: bool = True  #: and freezes the text of the newest intent, not of the first
    approval: bool = True  #: an agent that asks begins an effect only if a person approved it
    exact: bool = True  #: and only with the very text
    seen: bool = True  #: an approval compares what the person saw
    decision_names_attempt: bool = True  #: a decision in the journal is about the question of one attempt
    own_dead: bool = True  #: a host says of its own processes only that they are dead
    knows: str = "admission"  #: a remote look-up begins the drain if it knew of the death when it was admitted; or "one look", "nothing"
    lease: bool = True  #: an attempt whose lease has ended sends nothing
    lease_gap: bool = False  #: it may stop between looking at its lease and its first byte
    confirmed: bool = True  #: an intent that the database did not confirm is not sent
    put_back: bool = True  #: a host puts back what the database lost and its copy has
    take_over: bool = True  #: after that the journal takes over what Redis knows, before the next effect
    epoch_takes_over: bool = True  #: and before an epoch begins, too
    epoch_alone: bool = True  #: no intent gets its number between that of an epoch and its commit
    adopts: bool = False  #: admission gives a ledger without an epoch the journal's, if nothing was ever sent
