"""deploy/redis-users.acl: with these users a call and an effect go through, and each user may do nothing else."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import redis
from redis.commands.core import CoreCommands

from tests.deploy.tools import DEPLOY, ROOT
from tests.effects.client import EffectServer
from tests.harness import GaveUp, Install, Process, ServerMissing, Valkey, patient, until
from tests.harness.ports import free_ports

USERS = ("worker", "web", "flower", "exporter", "scaler")
SENDERS = ("worker", "web", "flower")
FILE = "redis-users.acl"
TEXT = (DEPLOY / FILE).read_text()
TOKEN = "a-token-for-the-tests-0123456789"

#: The version of the client, for lists of connections. Redis 7.0 does not know it, and would refuse a file that names it.
DISPENSABLE = {"client|setinfo"}
#: What nobody of Gatehouse needs: it removes data, shows what others do, or changes the server.
NEVER = (
    "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "KEYS *", "SHUTDOWN NOSAVE", "CONFIG GET requirepass",
    "CONFIG SET appendonly no", "SCRIPT FLUSH", "FUNCTION LIST", "ACL LIST", "MONITOR", "REPLICAOF no one", "RENAME a b",
    "CLIENT KILL ID 1", "SAVE", "BGREWRITEAOF", "MIGRATE h 1 k 0 1", "RESTORE k 0 x", "SORT celery", "SYNC",
)  # fmt: skip


def rules() -> dict[str, list[str]]:
    """Return the words behind each user's name."""
    return {line.split()[1].removeprefix("gatehouse-"): line.split()[2:] for line in TEXT.splitlines()}


def commands(user: str) -> set[str]:
    return {word[1:].partition("|")[0].upper() for word in rules()[user] if word.startswith("+")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Yield a server with the file as a person would have completed it; the test's own user stays."""
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    completed = re.sub(r"user (gatehouse-\w+) off", r"user \1 on >\1", TEXT)
    file.write_text(completed.replace("user default off", "user default on nopass ~* &* +@all"))
    try:
        one = Valkey(options={"aclfile": str(file)}).start()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield one
    one.close()


@pytest.mark.parametrize("program", ["valkey-server", "redis-server"])
def test_each_server_on_this_machine_accepts_the_file(program: str, tmp_path: Path) -> None:
    """Redis 7.0, which Debian 12 has, knows fewer commands than Valkey does."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed here")
    (port,) = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--aclfile", str(DEPLOY / FILE)]

    process = Process("server", [found, *options, "--save", ""], {}, tmp_path, tmp_path / "log")
    try:
        until(lambda: refuses_strangers(process, port), 10, f"{program} to start with the file")
    finally:
        process.kill9()


def refuses_strangers(process: Process, port: int) -> bool:
    if not process.alive:
        raise GaveUp(f"it ended:\n{process.output}")
    with closing(redis.Redis(port=port)) as one, pytest.raises(redis.exceptions.AuthenticationError):
        one.ping()
    return True


def url(server: Valkey, user: str) -> str:
    return f"{server.url}?db=0&username=gatehouse-{user}&password=gatehouse-{user}"


def client(server: Valkey, user: str) -> redis.Redis:
    return redis.Redis.from_url(
        server.url, username=f"gatehouse-{user}", password=f"gatehouse-{user}", decode_responses=True
    )


def ask(target: str, content: object = None, **headers: str) -> dict[str, object]:
    """Send a request past any proxy, and return its JSON."""
    body = None if content is None else json.dumps(content).encode()
    request = Request(target, body, {"Content-Type": "application/json", **headers})
    with build_opener(ProxyHandler({})).open(request, timeout=patient(60)) as answer:
        found: dict[str, object] = json.loads(answer.read())
    return found


@pytest.fixture
def house(server: Valkey, tmp_path: Path, effects: EffectServer) -> Iterator[Install]:
    env = {"EFFECTS_URL": effects.base_url, "API_TOKENS": f"ci:{TOKEN}:read,decide,*"}
    install = Install(tmp_path / "install", url(server, "worker"), env=env)
    yield install
    install.close()


def test_a_file_that_nobody_completed_lets_nobody_in() -> None:
    assert set(rules()) == {"default", *USERS}
    assert all(words[0] == "off" for words in rules().values())
    assert all(not re.search(r"[>#<]|nopass|allkeys|allchannels|\+@all", " ".join(words)) for words in rules().values())


@pytest.mark.slow
def test_a_call_and_an_effect_go_through_each_user_that_sends_calls(
    server: Valkey, house: Install, effects: EffectServer
) -> None:
    server.client().execute_command("ACL", "LOG", "RESET")
    house.worker()
    house.beat()
    house.env["REDIS_URL"] = url(server, "web")
    house.web()
    house.env["REDIS_URL"] = url(server, "flower")
    house.flower()
    house.env["REDIS_URL"] = url(server, "worker")

    own = house.call("storyteller.publish", post_id="worker")
    bearer = {"Authorization": f"Bearer {TOKEN}", "Prefer": "wait=30"}
    ask(f"{house.web_url}/tasks/storyteller.publish", {"post_id": "web"}, **bearer)
    ask(f"{house.flower_url}/api/task/send-task/storyteller.publish", {"kwargs": {"post_id": "flower"}})

    assert house.answer(own)["ok"]
    wanted = {f"story:{user}": 1 for user in SENDERS}
    until(lambda: effects.counts() == wanted, 30, "an effect through each user")
    assert {agent["agent"] for agent in house.gate("status")} >= {"storyteller"}
    assert house.gate("held") == []
    ask(f"{house.web_url}/api/agents", **bearer)
    until(lambda: ask(f"{house.flower_url}/api/workers?refresh=1"), 20, "Flower to know the worker")
    refused = [as_dict(entry) for entry in server.client().execute_command("ACL", "LOG")]
    told = [f"{entry['username']}: {entry['object']}" for entry in refused if entry["object"] not in DISPENSABLE]
    assert told == []


def as_dict(entry: object) -> dict[str, object]:
    """Return the answer of ACL LOG as a dict; RESP 2 has a list of names and values."""
    if isinstance(entry, dict):
        return entry
    assert isinstance(entry, list)
    return dict(zip(entry[::2], entry[1::2], strict=True))


@pytest.mark.parametrize("user", SENDERS)
def test_every_command_of_the_scripts_is_among_those_of_a_user_that_sends_calls(user: str) -> None:
    scripts = [*(ROOT / "state" / "scripts").glob("*.lua*"), ROOT / "workers" / "broker.py"]
    told = {found for file in scripts for found in re.findall(r'redis\.p?call\("([A-Z]+)"', file.read_text())}

    missing = told - commands(user) - {"CLUSTER"}

    assert missing <= ({"RPOP"} if user == "web" else set())  # the worker alone takes messages
    assert len(told) > 30


#: Methods of redis-py whose command has another name.
COMMANDS = {
    "delete": "DEL",
    "execute_command": "",
    "hscan_iter": "HSCAN",
    "scan_iter": "SCAN",
    "script_load": "SCRIPT",
}
#: Methods that lists, files, processes and others have as well; Redis's own commands of these names are not used.
OF_OTHERS = frozenset(
    [
        "append",
        "command",
        "copy",
        "digest",
        "echo",
        "keys",
        "rename",
        "reset",
        "restore",
        "shutdown",
        "sort",
        "sync",
        "touch",
        "wait",
    ]
)
#: What the doctor asks with Sentinel, and goes on without: it would show the passwords of the server.
CAN_BE_REFUSED = {"CONFIG_GET", "SENTINEL_MASTERS"}
ROOMS = ("state", "gatekeeper", "clients", "tasks", "workers", "web")


@pytest.mark.parametrize("user", SENDERS)
def test_every_command_that_the_code_sends_is_among_them_too(user: str) -> None:
    """A command that only a rare moment needs, such as the takeover of a new journal, must not fail there."""
    methods = {name for name in dir(CoreCommands) if not name.startswith("_")} - OF_OTHERS
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    called = {node.func.attr for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}

    sent = {COMMANDS.get(name, name.upper()) for name in called & methods} - CAN_BE_REFUSED - {""}

    assert sent - commands(user) == set()
    assert len(sent) > 30


@pytest.mark.parametrize("command", NEVER)
@pytest.mark.parametrize("user", USERS)
def test_a_command_that_nobody_needs_is_refused(server: Valkey, user: str, command: str) -> None:
    one = client(server, user)
    with pytest.raises(redis.exceptions.NoPermissionError):
        one.execute_command(*command.split())
    one.close()


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("web", "BRPOP celery 1"),
        ("web", "HGETALL unacked"),
        ("worker", "GET another:application"),
        ("flower", "GET another:application"),
        ("exporter", "HGETALL gate:{publisher}:ledger"),
        ("exporter", "LPUSH celery x"),
        ("scaler", "LPUSH celery x"),
        ("scaler", "LLEN gate:{publisher}:dead"),
        ("scaler", "INFO"),
        ("worker", "PUBLISH another.application x"),
    ],
)
def test_a_user_keeps_to_its_own_keys_and_channels(server: Valkey, user: str, command: str) -> None:
    one = client(server, user)
    with pytest.raises(redis.exceptions.NoPermissionError):
        one.execute_command(*command.split())
    one.close()


def test_a_scaler_and_an_exporter_read_the_length_of_the_queue(server: Valkey) -> None:
    """KEDA asks with a script: the type of the key first, then its length."""
    script = "local t = redis.call('type', KEYS[1]).ok return redis.call('llen', t == 'list' and KEYS[1] or KEYS[1])"
    one, other = client(server, "scaler"), client(server, "exporter")

    assert one.eval(script, 1, "celery") == other.llen("celery")
    assert other.info("memory")["used_memory"] > 0
    one.close(), other.close()
