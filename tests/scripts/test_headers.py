"""Every script opens with its KEYS, its ARGV and every answer; headers rot, so they are read here."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import ModuleType
from typing import Any

import pytest

import settings
import state
from gatekeeper.policies.policy import Breaker, Rate
from state import forbidden, limits
from state.errors import JournalUnavailable
from state.journal.journal import Journal
from state.ledger import ledger as ledger_module
from state.ledger import owner, reconcile, resolve, sweep
from state.ledger import revoke as revoke_module
from state.ledger.ledger import Ledger
from state.recovery import epoch, rebuild, recover
from state.recovery.rebuild import Progress
from state.redis.client import Script
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster, event

SCRIPTS = sorted((settings.ROOT / "state" / "scripts").glob("*.lua"))
NAMES = [path.stem for path in SCRIPTS]

every_script = pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)


class Lua:
    """One script: its header, and its code without comments."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        length = next(number for number, line in enumerate(lines) if not line.startswith("--"))
        self.header = "\n".join(line[2:].strip() for line in lines[:length])
        self.code = "\n".join(re.sub(r"--.*", "", line) for line in lines[length:])

    def documented(self, table: str) -> tuple[set[int], int | None]:
        """The numbers that the header explains, and from where on it explains "all others"."""
        numbers = {int(number) for number in re.findall(rf"{table}\[(\d+)\] ->", self.header)}
        rest = re.search(rf"{table}\[(\d+)\.\.\] ->", self.header)
        return numbers, int(rest[1]) if rest else None

    def used(self, table: str) -> set[int]:
        """The numbers that stand in the code, also those that a loop or a range starts behind."""
        return {int(number) for number in re.findall(rf"{table}\[(\d+)", self.code)}

    def answers(self) -> set[str]:
        """The words that the header says the script may answer."""
        return set(re.findall(r'\{"([a-z ]+)"', self.header[self.header.index("Returns") :]))

    def answered(self) -> set[str]:
        """The words that the code answers; `{to}` stands for each value that is given to `to`."""
        words = set(re.findall(r'return \{"([a-z ]+)"', self.code))
        if re.search(r"return \{to\}", self.code):
            words |= set(re.findall(r'\bto, why = "([a-z]+)"', self.code))
        return words


@every_script
def test_a_script_begins_with_its_name_and_what_it_does(path: Path) -> None:
    assert path.read_text().startswith(f"-- {path.stem}: ")


@every_script
@pytest.mark.parametrize("table", ["KEYS", "ARGV"])
def test_every_key_and_argument_that_is_used_is_explained_and_the_other_way_round(path: Path, table: str) -> None:
    lua = Lua(path)
    numbers, rest = lua.documented(table)

    explained_singly = {number for number in lua.used(table) if rest is None or number < rest}

    # KEYS[9 + i] reads what begins at KEYS[10], so the 9 may have no line of its own
    assert explained_singly <= numbers
    assert numbers <= lua.used(table)
    assert numbers == set(range(1, max(numbers) + 1))
    assert rest in {None, max(numbers) + 1}


@every_script
def test_every_answer_is_explained_and_the_other_way_round(path: Path) -> None:
    lua = Lua(path)

    assert lua.answers() == lua.answered()


@every_script
def test_time_comes_from_the_server_and_nothing_scans(path: Path) -> None:
    code = Lua(path).code

    for word in ('"KEYS"', '"SCAN"', "os.time", "os.clock", "math.random"):
        assert word not in code
    if re.search(r"\bnow\b", code):
        assert 'redis.call("TIME")' in code


@every_script
def test_a_script_stays_with_the_keys_it_is_given(path: Path) -> None:
    """A name built inside would miss the hash tag on a cluster."""
    for _, first in re.findall(r'redis\.call\("([A-Z]+)",\s*([^,)]+)', Lua(path).code):
        assert first.startswith("KEYS[") or first in {"name", "worst.name", "fences", '"server"'}, first


def test_every_script_is_loaded_by_its_one_caller() -> None:
    callers = [importlib.import_module(found.name) for found in pkgutil.walk_packages(state.__path__, "state.")]

    loaded = sorted(script.name for module in callers for script in scripts_of(module))

    assert loaded == NAMES


def scripts_of(module: ModuleType) -> list[Script]:
    """The scripts that a module made, not those it imported."""
    return [found for found in vars(module).values() if isinstance(found, Script)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, int]]]:
    """How many keys and arguments each script is really given, call by call."""
    seen: dict[str, list[tuple[int, int]]] = {}
    original: Callable[..., Any] = Script.__call__

    def count(self: Script, redis: Any, keys: Any, args: Any) -> Any:
        seen.setdefault(self.name, []).append((len(keys), len(args)))
        return original(self, redis, keys, args)

    def count_many(self: Script, redis: Any, runs: Any) -> Any:
        return [count(self, redis, keys, args) for keys, args in runs]

    monkeypatch.setattr(Script, "__call__", count)
    monkeypatch.setattr(Script, "many", count_many)
    return seen


def test_python_gives_each_script_as_many_keys_and_arguments_as_its_header_lists(
    poster_with: WithPolicies, counted: dict[str, list[tuple[int, int]]]
) -> None:
    for poster in (
        poster_with(),
        poster_with(rate=["5/hour", Rate("9/day")], cap=["7/hour", "8/day"], breaker=Breaker()),
    ):
        go_through_everything(poster)

    of_the_gate = {
        script.name
        for module in (
            ledger_module,
            resolve,
            sweep,
            limits,
            reconcile,
            epoch,
            rebuild,
            revoke_module,
            forbidden,
        )
        for script in scripts_of(module)
    }
    assert set(counted) == of_the_gate
    for path in [path for path in SCRIPTS if path.stem in of_the_gate]:
        lua = Lua(path)
        for position, table in enumerate(("KEYS", "ARGV")):
            numbers, rest = lua.documented(table)
            given = {counts[position] for counts in counted[path.stem]}
            assert min(given) >= max(numbers), (path.stem, table)
            assert rest is not None or given == {max(numbers)}, (path.stem, table)


def doubt(poster: Poster) -> None:
    """What is said of keys from outside, and what is rebuilt."""
    book = Journal(Path(os.environ["STATE_DIR"]) / "journal")
    claim = poster.claim("sixth")
    poster.cross(claim)
    poster.settle(claim, "unknown")
    reconcile.record(
        poster.redis, book, claim, absent=True, dead=True, began=owner.boot_clock(), events=[event("verify")]
    )
    resolve.resolve(poster.redis, book, AGENT, claim.key, resolve.Resolution("cancel", "ada", "gone"))
    dead = poster.fail("seventh")
    resolve.replay(poster.redis, book, AGENT, dead.call, "ada", {poster.gate.name})
    epoch.known(poster.redis, book, AGENT)
    recover.recover(poster.redis, book, lambda _task, _kwargs: [], Progress())


def go_through_everything(poster: Poster) -> None:
    poster.redis.flushall()
    call = poster.register()
    claim = poster.claim(call)
    poster.renew(claim)
    poster.reclaim(claim, dead=True)
    list(sweep.due(poster.redis, AGENT, [poster.gate.name], lambda _queue: True))
    poster.publish("other")
    poster.ledger.reject(poster.call("fourth"), {"error": "invalid arguments", "stage": "input"}, 1000)
    poster.ledger.keep_point(poster.claim("fifth"), "container", "17")
    doubt(poster)
    poster.ledger.cancel(AGENT, poster.register(poster.call("third")).id, "ada")
    with NamedTemporaryFile() as no_folder, pytest.raises(JournalUnavailable):
        Ledger(poster.redis, Journal(Path(no_folder.name))).register(poster.call("eighth"))
    book = Journal(Path(os.environ["STATE_DIR"]) / "journal")
    revoke_module.revoke(poster.redis, book, agents=[AGENT], calls=["nobody's"], by="ada", keep_ms=1000)
    permit = limits.permit("groq", "question", limits.ProviderLimits(1, 1, 1, 1, 1))
    assert isinstance(permit, limits.Permit)
    limits.report(permit, "ok")
    limits.throttle("standard", 1, 1)
    poster.ledger.reject(poster.call("fourth"), {"error": "invalid arguments", "stage": "input"}, 1000)
