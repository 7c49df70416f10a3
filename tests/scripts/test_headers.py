"""Every script begins with what it does, its keys, its arguments and every answer; heads rot, so they are read here."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import ModuleType
from typing import Any

import pytest

import settings
import state
from gatekeeper.policies.policy import Breaker, Rate
from state import limits
from state.agents.audit import Said
from state.errors import JournalUnavailable
from state.journal.journal import Journal
from state.ledger import Ledger, owner, resolve
from state.ledger.host_claims import HostClaim
from state.recovery import recover
from state.recovery.rebuild import Progress
from state.redis import lua
from state.redis.keys import Keys
from state.redis.script import Script
from tests.scripts.conftest import WithPolicies
from tests.scripts.poster import AGENT, Poster, event

SCRIPTS = sorted((settings.ROOT / "state" / "scripts").glob("*.lua"))
INCLUDES = sorted((settings.ROOT / "state" / "scripts").glob("*.lua.inc"))
NAMES = [path.stem for path in SCRIPTS]
#: More of them do not fit a head.
LINES = 200

every_script = pytest.mark.parametrize("path", SCRIPTS, ids=NAMES)


class Lua:
    """One script: its head, and its code with all includes but without comments."""

    def __init__(self, path: Path) -> None:
        self.script = Script(path.stem)
        lines = path.read_text().splitlines()
        self.head = list(itertools.takewhile(lambda line: re.match(r"--( |$)", line), lines))
        self.code = re.sub(r"--.*", "", lua.assembled(path.stem))

    def section(self, title: str) -> list[str]:
        """The lines of the head below a title."""
        if f"-- {title}:" not in self.head:
            return []
        below = self.head[self.head.index(f"-- {title}:") + 1 :]
        return [line[5:] for line in itertools.takewhile(lambda line: line.startswith("--   "), below)]

    def explained(self, title: str) -> set[str]:
        """The names that stand before a colon; further lines of an explanation are indented, or begin with a bar."""
        told = [line for line in self.section(title) if not line.startswith((" ", "|"))]
        names = [re.match(r"[a-z_]+(, [a-z_]+)*(?=:|$)", part) for line in told for part in line.split("; ")]
        return {name for match in names if match for name in match[0].split(", ")}

    def used(self, table: str) -> set[str]:
        return set(re.findall(rf"\b{table}\.([a-z_]+)", self.code))

    def answers(self) -> set[str]:
        """The words that the head says the script may answer."""
        return set(re.findall(r'^\{"([a-z ]+)"', "\n".join(self.section("Returns")), re.MULTILINE))

    def answered(self) -> set[str]:
        """The words that the code answers; `{to}` stands for each value that is given to `to`."""
        words = set(re.findall(r'return \{"([a-z ]+)"', self.code))
        if re.search(r"return \{to\}", self.code):
            words |= set(re.findall(r'\bto, why = "([a-z]+)"', self.code))
        return words


def bare(names: Iterable[str]) -> set[str]:
    return {name.removesuffix("...") for name in names}


@every_script
def test_a_script_begins_with_its_name_and_what_it_does(path: Path) -> None:
    assert path.read_text().startswith(f"-- {path.stem}: ")


@every_script
def test_every_key_and_argument_that_is_used_is_named_and_the_other_way_round(path: Path) -> None:
    lua = Lua(path)

    assert lua.used("K") == bare(lua.script.keys)
    for names in (lua.script.keys, lua.script.arguments):
        assert not any(name.endswith("...") for name in names[:-1]), "only the last name may be a list"
    assert lua.used("A") == bare(lua.script.arguments)
    assert not re.search(r"\b(KEYS|ARGV)\b(?!\))", lua.code), "only `named` reads them"


@every_script
def test_every_argument_is_explained_and_the_other_way_round(path: Path) -> None:
    lua = Lua(path)

    assert lua.explained("Arguments") == bare(lua.script.arguments)


@every_script
def test_every_key_belongs_to_the_agent_or_is_explained(path: Path) -> None:
    """One name stands for the same key in every script."""
    lua = Lua(path)

    assert bare(lua.script.keys) - lua.explained("Keys") <= set(Keys(AGENT).of())
    assert lua.explained("Keys") <= bare(lua.script.keys)


@every_script
def test_every_answer_is_explained_and_the_other_way_round(path: Path) -> None:
    lua = Lua(path)

    assert lua.answers() == lua.answered()


@every_script
def test_no_script_is_longer_than_two_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES


@pytest.mark.parametrize("path", INCLUDES, ids=lambda path: path.name)
def test_an_include_begins_with_its_name_and_is_included_somewhere(path: Path) -> None:
    name, text = path.name.removesuffix(".lua.inc"), path.read_text()

    assert text.startswith(f"-- {name}: ")
    assert len(text.splitlines()) <= LINES
    included = [re.findall(r"^ *--! include (.+)$", other.read_text(), re.MULTILINE) for other in [*SCRIPTS, *INCLUDES]]
    assert name in " ".join(itertools.chain.from_iterable(included)).split()


def test_an_argument_that_is_missing_or_unknown_is_refused(poster: Poster) -> None:
    renew = Script("renew")
    keys = {**poster.n.of("KEY"), "breaker": "BREAKER"}

    with pytest.raises(
        TypeError, match=r"renew\.lua: no argument is called 'fnce'; it takes: key, owner, fence, lease_ms"
    ):
        renew(poster.redis, keys, key="KEY", owner="owner/1", fnce=1, lease_ms=1)
    with pytest.raises(
        TypeError, match=r"renew\.lua: the argument 'fence' is missing; it takes: key, owner, fence, lease_ms"
    ):
        renew(poster.redis, keys, key="KEY", owner="owner/1", lease_ms=1)
    with pytest.raises(TypeError, match=r"renew\.lua: the key 'breaker' is missing; it takes: key, running, breaker"):
        renew(poster.redis, poster.n.of("KEY"), key="KEY", owner="owner/1", fence=1, lease_ms=1)


@every_script
def test_the_server_gets_positions_instead_of_names(path: Path) -> None:
    text = re.sub(r"--.*", "", Script(path.stem).text)

    assert not re.search(r"\b([KA]\.[a-z]|named\(|fields\()", text)


def test_names_become_positions_until_their_table_is_read_anew() -> None:
    text, tables = lua.with_positions(
        'local K = named({"key", "caps..."}, KEYS)\nlocal key = fields(K.key, "state", "owner")\n'
        'return key.owner .. "key.owner" .. told.owner -- key.owner\n'
        'local key = fields(name, "owner")\nreturn key.owner, K.caps[1]\n'
    )

    assert text == (
        'local K, K_caps = KEYS, {unpack(KEYS, 2)}\nlocal key = redis.call("HMGET", K[1], "state", "owner")\n'
        'return key[2] .. "key.owner" .. told.owner -- key.owner\n'
        'local key = redis.call("HMGET", name, "owner")\nreturn key[1], K_caps[1]\n'
    )
    assert tables["KEYS"] == ("key", "caps...")


def test_a_name_that_its_table_lacks_is_refused() -> None:
    with pytest.raises(NameError, match="key has no 'onwer'; it has: state, owner"):
        lua.with_positions('local key = fields(name, "state", "owner")\nreturn key.onwer')


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
    given = {"name", "key", "call", "history", "held", "errors", "dead", "events", "agent_meta", "fences", "collection"}
    given |= {"waits", "asks", "audit", "unwritten", "index", "hosts"}
    for _, first in re.findall(r'redis\.call\("([A-Z]+)",\s*([^,)]+)', Lua(path).code):
        assert first.startswith("K.") or first in given | {"caps[i]", "rates[i]", '"server"'}, first


def test_every_script_is_loaded_by_its_one_caller() -> None:
    callers = [importlib.import_module(found.name) for found in pkgutil.walk_packages(state.__path__, "state.")]

    loaded = sorted(script.name for module in callers for script in scripts_of(module))

    assert loaded == NAMES


def scripts_of(module: ModuleType) -> list[Script]:
    """The scripts that a module made, not those it imported."""
    return [found for found in vars(module).values() if isinstance(found, Script)]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The scripts that are run; one that gets other names than its own raises."""
    seen: set[str] = set()
    original: Callable[..., Any] = Script._values

    def values(self: Script, *names: Any) -> Any:
        seen.add(self.name)
        return original(self, *names)

    monkeypatch.setattr(Script, "_values", values)
    return seen


def test_python_gives_each_script_the_keys_and_arguments_that_it_names(
    poster_with: WithPolicies, ran: set[str]
) -> None:
    for poster in (
        poster_with(),
        poster_with(rate=["5/hour", Rate("9/day")], cap=["7/hour", "8/day"], budget="9 tokens/day", breaker=Breaker()),
    ):
        go_through_everything(poster)

    assert ran == set(NAMES) - {"sign", "host", "clock", "format"}  # these run in tests of their own


def doubt(poster: Poster) -> None:
    """What is said of keys from outside, and what is rebuilt."""
    book = Journal(Path(os.environ["STATE_DIR"]) / "journal")
    claim = poster.claim("sixth")
    poster.cross(claim)
    poster.settle(claim, "unknown")
    ledger = Ledger(poster.redis, book)
    ledger.reconcile(
        claim, absent=True, dead=True, knew_death=False, began=owner.boot_clock(), history=[event("verify")]
    )
    ledger.resolve(AGENT, claim.key, resolve.Resolution("cancel", "ada", "gone"))
    dead = poster.fail("seventh")
    ledger.replay(AGENT, dead.call, Said("replay", "ada"), {poster.gate.name})
    ledger.waiting(AGENT)
    ledger.known(AGENT)
    recover.recover(poster.redis, book, lambda _task, _kwargs: [], Progress())


def go_through_everything(poster: Poster) -> None:
    poster.redis.flushall()
    call = poster.register()
    claim = poster.claim(call)
    poster.renew(claim)
    if poster.scope_of(call).budgets:
        poster.spend(claim, 1)
    poster.reclaim(claim, dead=True)
    list(poster.ledger.due(AGENT, [poster.gate.name], lambda _queue: True))
    poster.publish("other")
    poster.ask(poster.claim("ninth"), within_ms=-1)
    poster.ledger.expire(AGENT)
    poster.ledger.reject(poster.call("fourth"), {"error": "invalid arguments", "stage": "input"}, 1000)
    poster.ledger.save_checkpoint(poster.claim("fifth"), "container", "17")
    doubt(poster)
    other = HostClaim(AGENT, claim.key, "unknown", claim.call, claim.owner, claim.fence, is_over=False)
    poster.ledger._say_dead(other, "its host says so")
    poster.cancel(poster.register(poster.call("third")).id, "ada")
    with NamedTemporaryFile() as no_folder, pytest.raises(JournalUnavailable):
        Ledger(poster.redis, Journal(Path(no_folder.name))).register(poster.call("eighth"))
    book = Journal(Path(os.environ["STATE_DIR"]) / "journal")
    Ledger(poster.redis, book).revoke(agents=[AGENT], calls=["nobody's"], by="ada", keep_ms=1000)
    permit = limits.permit("groq", "question", limits.ProviderLimits(1, 1, 1, 1, 1))
    assert isinstance(permit, limits.Permit)
    limits.report(permit, "ok")
    limits.throttle("standard", 1, 1)
    poster.ledger.reject(poster.call("fourth"), {"error": "invalid arguments", "stage": "input"}, 1000)
