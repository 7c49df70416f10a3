"""The counters of an agent's calls behind `/metrics`: how they ended, how long they ran and waited, and their requests.

The names of the counters are the fields of one hash, each a few words with spaces between them, which a person can read:
`call TASK OUTCOME RAN WAITED` with the upper bounds of two durations, `http SERVICE OUTCOME TOOK` and `tick OUTCOME ENTRY`. An attempt adds to
one field only, because each further write would cost its script four percent; so no sums of durations are kept. Tasks,
outcomes, services and bounds are few, so the hash stays small.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: ms: the upper bounds of the buckets of every duration. A longer one is in the last, `over`.
BOUNDS_MS = (100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000)
BUCKETS = (*map(str, BOUNDS_MS), "over")
#: What begins the name of a counter of refusals: `refused_STAGE TASK`. It is among the agent's other totals.
REFUSED = "refused_"
#: In the place of a duration that there is none of: a refused call did not run.
NONE = "-"


def of_attempt(task: str, outcome: str, ran_ms: int, waited_ms: int | None) -> str:
    """Return the counter to which one attempt that ended adds.

    Args:
        task: The Celery name of the task.
        outcome: How it ended, in one word.
        ran_ms: How long it ran.
        waited_ms: How long its message waited in the queue; None if there was none.

    """
    return f"call {task} {outcome} {bucket(ran_ms)} {NONE if waited_ms is None else bucket(waited_ms)}"


def of_request(service: str, outcome: str, ms: int) -> str:
    """Return the counter to which one request to another service adds."""
    return f"http {service} {outcome} {bucket(ms)}"


def of_tick(entry: str, became: str) -> str:
    """Return the counter of a schedule entry's ticks of which this became; the name of an entry may have spaces."""
    return f"tick {became} {entry}"


def bucket(ms: int) -> str:
    """Return the name of the bucket of a duration."""
    return BUCKETS[bisect_left(BOUNDS_MS, ms)]


@dataclass
class Durations:
    """The number of times that something took no longer than each bound, by bucket."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUCKETS, 0))

    def add(self, bucket: str, times: int) -> None:
        if bucket in self.counts:
            self.counts[bucket] += times

    def cumulated(self) -> Iterator[tuple[str, int]]:
        """Yield each upper bound in seconds, as Prometheus writes it, with how many took no longer."""
        total = 0
        for name, bound in zip(BUCKETS, (*(f"{ms / 1000:g}" for ms in BOUNDS_MS), "+Inf"), strict=True):
            total += self.counts[name]
            yield bound, total


@dataclass
class Measures:
    """The counters of one agent."""

    calls: dict[tuple[str, str], int] = field(default_factory=dict)  #: (task, outcome) → how many ended so
    ran: dict[str, Durations] = field(default_factory=dict)  #: by task
    waited: dict[str, Durations] = field(default_factory=dict)  #: by task
    requests: dict[tuple[str, str], int] = field(default_factory=dict)  #: (service, outcome) → how many ended so
    took: dict[str, Durations] = field(default_factory=dict)  #: by service
    refused: dict[tuple[str, str], int] = field(default_factory=dict)  #: (task, stage) → how many calls
    ticks: dict[tuple[str, str], int] = field(default_factory=dict)  #: (schedule entry, what became of it) → how many


def read(stored: Mapping[str, str]) -> Measures:
    """Return the counters in one or several hashes; a field that this version does not know is left out."""
    found = Measures()
    for name, text in stored.items():
        _add(found, name.split(" "), int(text))
    return found


def _add(found: Measures, words: list[str], number: int) -> None:
    match words:
        case ["call", task, outcome, ran, waited]:
            found.calls[task, outcome] = found.calls.get((task, outcome), 0) + number
            found.ran.setdefault(task, Durations()).add(ran, number)
            found.waited.setdefault(task, Durations()).add(waited, number)
        case ["http", service, outcome, took]:
            found.requests[service, outcome] = found.requests.get((service, outcome), 0) + number
            found.took.setdefault(service, Durations()).add(took, number)
        case [stage, task] if stage.startswith(REFUSED):
            found.refused[task, stage.removeprefix(REFUSED)] = number
        case ["lost", task]:
            found.calls[task, "lost"] = number
        case ["tick", became, *entry]:
            found.ticks[" ".join(entry), became] = number
