"""What the judge's table says about the keys that were asked for, held against where they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.torture.watch import Standings, is_at_rest


@dataclass(frozen=True)
class Verdict:
    """The keys for which a promise was broken, by promise, and how many ended well."""

    asked: int
    effects: int
    ended: Counter[str]  #: state → keys
    duplicates: list[str] = field(default_factory=list)  #: more than one effect
    lost: list[str] = field(default_factory=list)  #: gone, or still moving when the time was over
    falsely_done: list[str] = field(default_factory=list)  #: done, and no effect
    falsely_free: list[str] = field(default_factory=list)  #: may run again, and the effect happened
    strangers: list[str] = field(default_factory=list)  #: an effect that nobody asked for
    reworded: list[str] = field(default_factory=list)  #: sent with two payloads, neither of which was clearly refused

    @property
    def broken(self) -> dict[str, list[str]]:
        """Each promise that was broken, with the keys."""
        found = {
            "duplicates": self.duplicates,
            "lost": self.lost,
            "falsely done": self.falsely_done,
            "falsely free": self.falsely_free,
            "never asked for": self.strangers,
            "reworded": self.reworded,
        }
        return {promise: keys for promise, keys in found.items() if keys}


def judge(
    asked: Mapping[str, str], standing: Standings, counts: Mapping[str, int], bodies: Mapping[str, int]
) -> Verdict:
    """The verdict over all keys that were asked for: key → task, key → state, key → effects, key → different bodies in doubt."""
    striking = {key for key, task in asked.items() if task not in {"chore", "poison", "tick"}}
    return Verdict(
        asked=len(asked),
        effects=sum(counts.values()),
        ended=Counter(str(standing[key]) for key in asked),
        duplicates=[key for key, count in counts.items() if count > 1],
        lost=[key for key, task in asked.items() if not is_at_rest(task, standing[key])],
        falsely_done=[key for key in striking if standing[key] == "done" and not counts.get(key)],
        falsely_free=[key for key in striking if standing[key] in {"rejected", "cancelled"} and counts.get(key)],
        strangers=[key for key in counts if key not in asked],
        reworded=[key for key, number in bodies.items() if number > 1],
    )
