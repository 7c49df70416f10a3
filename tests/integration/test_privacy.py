"""Every file that the running system makes below STATE_DIR is for its owner alone, with the widest umask."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import senders
from tests.harness import Install, until
from tests.harness.shell import Shell
from tests.senders import message

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture(scope="module", autouse=True)
def lived(house: Install, shell_with_open_umask: Shell) -> None:
    """An effect, an agent's state, an answer in the mailbox, a draft, a report, a post."""
    shell_with_open_umask.run(
        """
        import clerk
        from datetime import UTC, datetime
        from tasks.writer import drafts
        from clients.mailbox import Reply, deliver
        from gatekeeper import Rung
        from state.agents import state_file as mirror
        clerk.post(post_id="private")
        mirror.write("clerk")
        deliver(Reply(channel="chat", conversation="c1", message_id="m1", sender="ada", message="x", reply="y", rung=Rung.RULES, by="rules"))
        with drafts.exclusive():
            from state.files import write_atomic
            write_atomic(drafts.folder() / "digest-x.md", b"x")
        """
    )
    house.web()
    body = message("private")
    senders.send(f"{house.web_url}/hooks/standard", body, senders.standard(SECRET, body, "private"))


@pytest.fixture(scope="module")
def shell_with_open_umask(house: Install) -> Iterator[Shell]:
    house.env["WEBHOOK_SECRET_STANDARD"] = SECRET
    before = os.umask(0)
    made = Shell(house)
    yield made
    made.close()
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


def test_nothing_below_the_state_folder_is_open_to_others(house: Install) -> None:
    found = modes(house.state_dir)

    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    folders = {name.partition("/")[0] for name in found}
    assert {"agents", "journal", "mailbox", "run", "secrets"} <= folders


def test_drafts_are_closed_and_the_posts_beside_them_are_as_they_were(house: Install) -> None:
    found = modes(house.content_dir)

    assert found["drafts"] == 0o700
    assert {name: mode for name, mode in found.items() if name.startswith("drafts/") and mode & 0o077} == {}


def test_folders_of_an_earlier_version_are_closed_by_whoever_writes_next(
    house: Install, shell_with_open_umask: Shell
) -> None:
    for name in ("agents", "journal", "mailbox", "mailbox/chat"):
        (house.state_dir / name).chmod(0o755)
    (house.state_dir / "agents" / "clerk.json").chmod(0o644)

    shell_with_open_umask.run(
        """
        from clients.mailbox import Reply, deliver
        from gatekeeper import Rung
        from state.journal import opened
        from state.agents import state_file as mirror
        mirror.write("clerk")
        deliver(Reply(channel="chat", conversation="c1", message_id="m2", sender="ada", message="x", reply="y", rung=Rung.RULES, by="rules"))
        with opened.current().exclusive():
            pass
        """
    )

    assert {name: oct(mode) for name, mode in modes(house.state_dir).items() if mode & 0o077} == {}


def test_the_public_folder_is_as_open_as_the_umask_lets_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    from state.files import write_atomic

    before = os.umask(0o022)
    try:
        for name, public in (("public", True), ("private", False)):
            write_atomic(tmp_path / name, b"1", public=public)
        first = modes(tmp_path)
        for name in first:
            (tmp_path / name).chmod(0o640)
        for name, public in (("public", True), ("private", False)):
            write_atomic(tmp_path / name, b"2", public=public)
    finally:
        os.umask(before)

    assert first == {"public": 0o644, "private": 0o600}
    assert modes(tmp_path) == {"public": 0o640, "private": 0o600}


def test_the_doctor_names_what_others_could_read_and_how_to_close_it(house: Install, shell: Shell) -> None:
    def said() -> list[dict[str, Any]]:
        rows = json.loads(shell.celery("gate", "doctor", "--json").stdout)
        return [row for row in rows if row["check"] == "privacy"]

    assert until(lambda: [row["ok"] for row in said()] == [True], 5, "nothing to say")
    mailbox = house.state_dir / "mailbox"
    mailbox.chmod(0o755)
    house.state_dir.chmod(0o777)
    try:
        changes = [row["change"] for row in said()]
    finally:
        mailbox.chmod(0o700)
        house.state_dir.chmod(0o755)

    assert changes == [f"run chmod o-w {house.state_dir}", f"run chmod go= {mailbox}"]
