"""A backup made under load brings an installation back whose every file was lost, and no effect happens a second time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_dir import embedded_socket
from state.redis.keys import Keys
from tests.deploy.tools import DEPLOY
from tests.effects.client import EffectServer
from tests.harness import Install, until
from tests.harness.install import ROOT
from tests.harness.polling import patient
from tests.harness.shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TASK = "storyteller.publish"
POSTS = 150
#: Seconds that each effect takes at the service.
DELAY = 0.05
#: The service keeps the answers to these posts back: however long a backup takes, some effects are under way, and some to come.
UNTIL_THE_BACKUP, FOR_EVER = range(60, 70), range(140, POSTS)


class Home:
    """An installation with the embedded server, whose append-only file is in STATE_DIR as it is behind `make up`."""

    def __init__(self, folder: Path, effects: EffectServer) -> None:
        url = f"unix://{embedded_socket(folder / 'state')}"
        self.install = Install(folder, url, env={"REDIS_URL": "", "EFFECTS_URL": effects.base_url})
        self._shell: Shell | None = None

    def start(self) -> None:
        self.server = self.install.start("redis", [sys.executable, "-m", "deploy.redis"])
        until(self.install._redis.ping, 20, "the embedded server")

    @property
    def shell(self) -> Shell:
        self._shell = self._shell or Shell(self.install)
        return self._shell

    def publish(self, *posts: str) -> list[str]:
        return self.shell.delay(TASK, *({"post_id": post} for post in posts))

    def state(self, post: str) -> str:
        return str(self.install._redis.hget(Keys("storyteller").key(f"story:{post}"), "state"))

    def lose_everything(self) -> None:
        self.close()
        shutil.rmtree(self.install.folder)

    def close(self) -> None:
        if self._shell:
            self._shell.close()
        self._shell = None
        self.install.close()


@pytest.fixture
def home(tmp_path: Path, effects: EffectServer) -> Iterator[Callable[[str], Home]]:
    made: list[Home] = []

    def create(name: str) -> Home:
        made.append(Home(tmp_path / name, effects))
        return made[-1]

    yield create
    for each in made:
        each.close()


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(DEPLOY / name), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(30), check=False)


def done(name: str, *arguments: str | Path) -> None:
    found = script(name, *arguments)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_backup_under_load_brings_everything_back_and_no_effect_happens_twice(
    tmp_path: Path, home: Callable[[str], Home], effects: EffectServer
) -> None:
    posts, copy = [str(number) for number in range(POSTS)], tmp_path / "copy"
    lost = home("lost")
    lost.start()
    worker = lost.install.worker("threads", 4)
    effects.mode(f"delay_after:{DELAY}")
    for number in (*UNTIL_THE_BACKUP, *FOR_EVER):
        effects.mode("delay_after:600", f"story:{number}")
    lost.publish(*posts)

    until(lambda: effects.count() > 20, 60, "the first effects")
    done("backup.sh", lost.install.state_dir, copy)
    at_backup = effects.count()
    for number in UNTIL_THE_BACKUP:
        effects.mode(f"delay_after:{DELAY}", f"story:{number}")
    effects.release()
    until(lambda: effects.count() > at_backup + 20, 60, "effects after the backup")
    worker.kill9()
    done("backup.sh", "--journal", lost.install.state_dir, copy)
    lost.lose_everything()
    for number in FOR_EVER:
        effects.mode("ok", f"story:{number}")
    effects.mode("ok")
    effects.release()
    assert 0 < at_backup < effects.count() < POSTS, "the backup and the loss happened under load"

    new = home("new")
    done("restore.sh", copy, new.install.state_dir)
    new.start()
    before = effects.arrived()
    new.install.gate("recover")
    assert effects.arrived() == before
    new.install.worker("threads", 4)
    new.publish(*posts)  # as the schedule and the webhooks would

    until(lambda: {new.state(post) for post in posts} <= {"done", "unknown"}, 90, "every post to end")
    counts = effects.counts()
    assert {key: count for key, count in counts.items() if count != 1} == {}
    missing = [post for post in posts if f"story:{post}" not in counts]
    assert {new.state(post) for post in missing} <= {"unknown"}, "what never arrived waits for a person"


def test_effects_stay_closed_after_a_restore_until_a_person_recovers(
    tmp_path: Path, home: Callable[[str], Home], effects: EffectServer
) -> None:
    """The ledger's copy is older than the journal's: without a rebuild its keys would be sent again."""
    lost = home("lost")
    lost.start()
    lost.install.worker()
    [first] = lost.publish("first")
    assert lost.install.answer(first)["ok"]
    done("backup.sh", lost.install.state_dir, tmp_path / "copy")
    [second] = lost.publish("second")
    assert lost.install.answer(second)["ok"]
    done("backup.sh", "--journal", lost.install.state_dir, tmp_path / "copy")
    lost.lose_everything()

    new = home("new")
    done("restore.sh", tmp_path / "copy", new.install.state_dir)
    new.start()
    new.install.worker()
    [again] = new.publish("second")

    answer = new.install.answer(again)
    assert (answer["error"], answer["stage"]) == ("effects are closed", "ledger"), answer
    new.install.gate("recover")
    until(lambda: new.state("second") == "done", 60, "the second post")
    assert effects.counts() == {"story:first": 1, "story:second": 1}


def test_a_restore_refuses_a_folder_with_data_and_a_copy_that_was_changed(tmp_path: Path) -> None:
    state, copy, target = tmp_path / "state", tmp_path / "copy", tmp_path / "target"
    for folder, file in (("journal", "2026-11.jsonl"), ("agents", "publisher.json")):
        (state / folder).mkdir(parents=True)
        (state / folder / file).write_text("{}\n")
    done("backup.sh", state, copy)

    again = script("backup.sh", state, copy)
    mixed = script("restore.sh", copy, state)
    (copy / "agents" / "publisher.json").write_text("{}")
    changed = script("restore.sh", copy, target)

    for refused, why in ((again, "exists"), (mixed, "holds data"), (changed, "is damaged")):
        assert refused.returncode == 1, refused.stdout
        assert why in refused.stderr
    assert not target.exists()


def test_the_journal_of_a_copy_is_brought_up_to_date_and_a_compressed_month_is_there_once(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    (state / "journal").mkdir(parents=True)
    for month in ("2026-09", "2026-11"):
        (state / "journal" / f"{month}.jsonl").write_text('{"at": 1}\n')
    done("backup.sh", state, copy)
    subprocess.run(["gzip", str(state / "journal" / "2026-09.jsonl")], check=True)
    with (state / "journal" / "2026-11.jsonl").open("a") as file:
        file.write('{"at": 2}\n')

    done("backup.sh", "--journal", state, copy)
    done("restore.sh", copy, tmp_path / "target")

    restored = tmp_path / "target" / "journal"
    assert {file.name for file in restored.iterdir()} == {"2026-09.jsonl.gz", "2026-11.jsonl"}
    assert (restored / "2026-11.jsonl").read_text().count("\n") == 2
