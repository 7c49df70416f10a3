"""The combinations of broker, ledger and journal that Gatehouse supports."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from tests.matrix.engine import Cluster, Database, Engine, OneRedis, Rabbit, Sentinels

BROKERS: dict[str, type[Engine]] = {"Redis": OneRedis, "RabbitMQ": Rabbit, "Sentinel": Sentinels}
LEDGERS: dict[str, type[Engine]] = {"Redis": OneRedis, "Sentinel": Sentinels, "Cluster": Cluster}
JOURNALS: dict[str, type[Engine] | None] = {"files": None, "PostgreSQL": Database}


class Combination(NamedTuple):
    """The names of what carries the messages, the ledger and the journal."""

    broker: str
    ledger: str
    journal: str

    @property
    def name(self) -> str:
        return " × ".join(self)

    @property
    def faults(self) -> list[str]:
        """What is killed, in this order; a server that is broker and ledger at once is killed once."""
        servers = ["broker", "ledger"] if self.broker != self.ledger else ["broker and ledger"]
        return ["worker", *servers, *(["database"] if JOURNALS[self.journal] else [])]


def every_combination(only: list[str]) -> list[Combination]:
    """All of them, or those that have one of these words in their names."""
    found = [Combination(*names) for names in product(BROKERS, LEDGERS, JOURNALS)]
    return [each for each in found if not only or any(word in each.name for word in only)]
