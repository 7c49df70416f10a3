"""A trace in words, for people."""

from __future__ import annotations

from collections.abc import Iterable

_SAID = {
    "read": "a worker reads the journal's epoch and fence, and will use them later",
    "claim": "{who} claims the key",
    "intent": "{who} writes its intent to the journal",
    "outdated": "{who} finds that a newer epoch precedes its intent in the journal, and sends nothing",
    "cross": "{who} begins its effect: claimed -> sending",
    "refused": "{who} may not begin its effect, and sends nothing",
    "send": "{who} sends",
    "apply": "the provider applies {whose} request",
    "refuse": "the provider refuses {whose} request",
    "lose request": "{whose} request is lost",
    "hear done": "{who} receives: done",
    "hear refused": "{who} receives: refused",
    "give up": "{who} gets no response that it can trust",
    "outcome": "{who} writes its outcome to the journal",
    "settle": "{who} settles in Redis",
    "settle in vain": "{who} settles, but no longer holds the key",
    "kill": "{who} is killed",
    "flush": "Redis loses everything",
    "roll back": "Redis restarts with an older ledger",
    "restart": "Redis restarts and lost nothing",
    "evict": "Redis loses the key's record",
    "claim of another key": "another key is claimed",
    "intent of another key": "another key is claimed, and its intent written",
    "look at claim": "the sweeper reads {whose} claim and its record in the journal",
    "reclaim": "the sweeper takes {whose} claim away",
    "reclaim in vain": "the sweeper finds that {whose} claim is gone",
    "prove death": "{who} is proven to send nothing any more; the drain begins",
    "begin drain": "the drain begins",
    "end drain": "the drain is over",
    "ask: found": "a look-up finds the effect",
    "ask: absent": "a look-up asks the provider, which answers: absent",
    "write absence": "that look-up is written to the journal",
    "forget absence": "that look-up was not a proof, and is dropped",
    "judge: absent": "that look-up frees the key",
    "judge in vain": "that look-up comes too late",
    "ask at once: absent": "a look-up finds nothing, and the key is freed",
    "hold": "the key is held for a person",
    "retry blindly": "the key is freed",
    "audit": "the journal is compared with the ledger of the restarted server",
    "reopen": "the ledger is complete, and effects are open",
    "reopen in vain": "the server has changed meanwhile",
    "kill audit": "the process that compares is killed",
    "begin recovery": "`gate recover` closes effects and appends a new epoch to the journal",
    "read journal": "it reads the journal",
    "rebuild key": "it writes the key",
    "open effects": "it opens effects",
    "recovery stops": "it finds that Redis lost data again, and stops",
    "kill recovery": "it is killed",
}


def in_words(trace: Iterable[tuple[str, int]]) -> list[str]:
    """Each step of a trace as a sentence; attempts are called W1, W2, and so on."""
    return [_SAID[what].format(who=f"W{number + 1}", whose=f"W{number + 1}'s") for what, number in trace]
