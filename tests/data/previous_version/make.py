"""Make the data in this folder with the code of an earlier version.

    git worktree add --detach /tmp/old e4437c6 && cd /tmp/old && make test
    PYTHONPATH=. .venv/bin/python …/tests/data/previous_version/make.py

It uses that version's own test harness and agents, and writes three things beside itself: `journal/`, `redis.jsonl` (one
command per line, times to live in ms) and `expected.json` (what that version said of every key).
The months of the journal are its files renamed: the first is compacted, as that version did with old ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until
from tests.harness.shell import Shell

HERE = Path(__file__).resolve().parent
AGENTS = ("storyteller", "doubter", "mailer", "patient", "counter", "clerk")
MONTH = Path("2026-11.jsonl")


class Installation:
    """An installation of that version, whose workers start and stop as the story needs it."""

    def __init__(self, folder: Path) -> None:
        self.server = Valkey().start()
        (folder / "effects").mkdir()
        self.effects = EffectServer(folder / "effects").start()
        environment = {"EFFECTS_URL": self.effects.base_url, "LEDGER_DAYS": "30"}
        self.install = Install(folder, self.server.url, task_modules=AGENTS, env=environment)
        self.journal = self.install.state_dir / "journal"

    def close(self) -> None:
        self.install.close()
        self.effects.stop()
        self.server.close()

    @contextmanager
    def running(self) -> Iterator[Shell]:
        worker, shell = self.install.worker(), Shell(self.install)
        yield shell
        shell.close()
        worker.terminate()

    def state_of(self, shell: Shell, key: str) -> str:
        try:
            return str(shell.gate("explain", key)["state"])
        except AssertionError:
            return ""

    def ends(self, shell: Shell, key: str, state: str) -> None:
        until(lambda: self.state_of(shell, key) == state, 40, f"{key} to be {state}")

    def end_month(self, name: str) -> None:
        [newest] = [path for path in self.journal.glob("*.jsonl") if path.name != "2026-08.jsonl"]
        newest.rename(self.journal / name)


def first_month(made: Installation) -> None:
    """Two effects that are done, one in doubt that nobody can look up, and one that was refused for good."""
    made.effects.mode("apply_then_drop", "story:doubt")
    made.effects.mode("refuse:404", "story:refused")
    with made.running() as shell:
        shell.delay("storyteller.publish", *({"post_id": post} for post in ("first", "doubt", "refused")))
        shell.delay("storyteller.publish", {"post_id": "flawed", "later_step": "fails"})
        shell.delay("clerk.post", {"post_id": "hello"})
        for key, state in {
            "story:first": "done", "story:doubt": "unknown", "story:refused": "rejected", "story:flawed": "done",
            "post:hello": "done",
        }.items():  # fmt: skip
            made.ends(shell, key, state)
    made.end_month("2026-08.jsonl")


def second_month(made: Installation) -> None:
    """Doubts that a look-up and people ended, an effect in two steps, poison, and calls that were revoked."""
    made.effects.mode("apply_then_drop", "sure:looked-up")
    made.effects.mode("apply_then_drop", "story:applied")
    made.effects.mode("apply_then_reset", "story:cancelled")
    with made.running() as shell:
        shell.delay("doubter.publish", {"post_id": "looked-up"})
        shell.delay("doubter.in_steps", {"post_id": "two"})
        shell.delay("storyteller.publish", {"post_id": "applied"}, {"post_id": "cancelled"})
        made.ends(shell, "sure:looked-up", "done")
        made.ends(shell, "steps:two", "done")
        for key, word in {"story:applied": "--applied", "story:cancelled": "--cancel"}.items():
            made.ends(shell, key, "unknown")
            shell.gate("resolve", key, word, "--why", "I looked")
        shell.run("app.tasks['mailer.mail'].apply_async(('revoked',), countdown=3600, task_id='revoked-call')")
        shell.run("app.control.revoke(['revoked-call', 'nobody-knows-it'])")
        shell.delay("doubter.deadly", {"post_id": "poison"})
        until(lambda: not made.install.processes[-1].alive, 30, "the worker to be killed")
    for _ in range(3):
        meet_poison(made)
    until(lambda: is_held(made, "deadly:poison"), 1, "the poison to be held")
    made.end_month("2026-10.jsonl")


def meet_poison(made: Installation) -> None:
    worker = made.install.worker()
    until(lambda: not worker.alive or is_held(made, "deadly:poison"), 30, "the poison to be met")
    worker.terminate()


def is_held(made: Installation, key: str) -> bool:
    state: str | None = made.server.client().hget("gate:{doubter}:key:" + key, "state")
    return state == "held"


def third_month(made: Installation) -> None:
    """Calls that wait: for their time, for their service, for a worker; some with followers."""
    made.effects.mode("refuse:429", "patient:later")
    with made.running() as shell:
        shell.delay("storyteller.publish", {"post_id": "third"})
        made.ends(shell, "story:third", "done")
        shell.delay("patient.publish", {"name": "later"})
        made.ends(shell, "patient:later", "waiting")
        shell.run(
            "app.tasks['mailer.mail'].apply_async(('eve',), countdown=3600, priority=3,"
            " link=app.tasks['clerk.follow'].s(name='after-eve'))"
        )
        shell.delay("counter.add", {"a": 1, "b": 2})
    shell = Shell(made.install)
    shell.run(
        "app.tasks['storyteller.publish'].apply_async(('queued',), link=app.tasks['clerk.follow'].s(name='after-queued'))"
    )
    shell.gate("pause", "mailer", "--why", "the relay moves")
    shell.close()


def compact(made: Installation) -> None:
    command = [sys.executable, "-m", "state.compact"]
    before = (made.journal / "2026-08.jsonl").stat().st_size
    subprocess.run(command, env=made.install.env, cwd=made.install.root, check=True)
    assert (made.journal / "2026-08.jsonl").stat().st_size < before


def expected(made: Installation) -> dict[str, Any]:
    """What that version says of every key, what it holds, and its counters."""
    shell, client = Shell(made.install), made.server.client()
    names = [str(name) for name in client.scan_iter("gate:{*}:key:*")]
    keys = sorted(name.partition(":key:")[2] for name in names)
    told = {key: shell.gate("explain", key) for key in keys}
    kept = ("agent", "task", "state", "attempts", "result")
    said = {
        "keys": {key: {name: told[key][name] for name in kept} | {"events": len(told[key]["story"])} for key in keys},
        "held": shell.gate("held"),
        "status": {agent["agent"]: agent["metrics"] for agent in shell.gate("status")},
        "effects": made.effects.counts(),
    }
    shell.close()
    return said


def dump(client: redis.Redis) -> Iterator[list[Any]]:
    """Commands that fill an empty server with what this one holds, but for Celery's results and remote control."""
    found = sorted(map(str, client.scan_iter(count=1000)))
    for name in (each for each in found if "celery-task-meta" not in each and "pidbox" not in each):
        match client.type(name):
            case "string":
                yield ["SET", name, client.get(name)]
            case "hash":
                yield ["HSET", name, *(text for pair in sorted(client.hgetall(name).items()) for text in pair)]
            case "list":
                yield ["RPUSH", name, *client.lrange(name, 0, -1)]
            case "set":
                yield ["SADD", name, *sorted(client.smembers(name))]
            case "zset":
                yield ["ZADD", name, *(part for member, score in client.zrange(name, 0, -1, withscores=True) for part in (repr(score), member))]  # fmt: skip
            case "stream":
                for number, fields in client.xrange(name):
                    yield ["XADD", name, number, *(text for pair in fields.items() for text in pair)]
            case other:
                raise TypeError(f"{name} is a {other}")
        if (lasts := client.pttl(name)) > 0:
            yield ["PEXPIRE", name, lasts]


def main() -> None:
    """Live through three months, and write down what is left."""
    with tempfile.TemporaryDirectory() as folder:
        made = Installation(Path(folder))
        try:
            first_month(made)
            second_month(made)
            third_month(made)
            compact(made)
            (HERE / "expected.json").write_text(json.dumps(expected(made), indent=1, ensure_ascii=False) + "\n")
            commands = dump(made.server.client())
            (HERE / "redis.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in commands))
            shutil.rmtree(HERE / "journal", ignore_errors=True)
            (HERE / "journal").mkdir()
            for path in made.journal.glob("*.jsonl"):
                shutil.copyfile(path, HERE / "journal" / path.name)
        finally:
            made.close()


if __name__ == "__main__":
    main()
