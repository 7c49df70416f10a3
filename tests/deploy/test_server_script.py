"""deploy/server.sh, which installs into a folder instead of a server's root."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

import data_dir
import settings
from tests.deploy.tools import DEPLOY, ROOT, run, tool


def install(root: Path) -> str:
    done = run("sh", DEPLOY / "server.sh", env={"DESTDIR": str(root)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and the content of each file and folder."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def env_of(root: Path) -> Path:
    return root / "etc/gatehouse/env"


def written(root: Path) -> dict[str, str]:
    lines = [line for line in env_of(root).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    first = everything(tmp_path)

    install(tmp_path)

    assert first == everything(tmp_path)
    assert "usr/local/lib/systemd/system/gatehouse.target" in first


def test_settings_and_content_of_a_person_stay(tmp_path: Path) -> None:
    install(tmp_path)
    env_of(tmp_path).write_text("DESK_PASSWORD=\nWEB_PORT=8080")  # the last line has no line break
    post = tmp_path / "var/lib/gatehouse/content/state-at-3am.md"
    post.write_text("mine")

    install(tmp_path)

    settings_now = written(tmp_path)
    assert {"DESK_PASSWORD": "", "WEB_PORT": "8080"}.items() <= settings_now.items()
    assert settings_now["STATE_DIR"] == "/var/lib/gatehouse/state"
    assert post.read_text() == "mine"


def test_the_first_run_makes_a_unique_password(tmp_path: Path) -> None:
    install(tmp_path / "one")
    install(tmp_path / "two")

    one, two = written(tmp_path / "one")["DESK_PASSWORD"], written(tmp_path / "two")["DESK_PASSWORD"]

    assert len(one) == 32
    assert one != two


def test_only_root_and_the_services_read_the_settings(tmp_path: Path) -> None:
    install(tmp_path)

    assert stat.S_IMODE(env_of(tmp_path).stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "var/lib/gatehouse").stat().st_mode) == 0o700


def test_the_settings_it_writes_can_be_read(tmp_path: Path) -> None:
    install(tmp_path)

    chosen = settings.read(written(tmp_path))

    assert chosen.content_dir == Path("/var/lib/gatehouse/content")
    # Not in a folder below /tmp: systemd gives each service a /tmp of its own.
    assert data_dir.embedded_socket(chosen.state_dir) == Path("/var/lib/gatehouse/state/run/redis.sock")


def test_it_checks_the_new_version_before_it_starts_it(tmp_path: Path) -> None:
    said = install(tmp_path)

    order = [
        said.index(part) for part in ("install.sh", "web.validate_config", "daemon-reload", "restart gatehouse.target")
    ]
    assert order == sorted(order)


SECRETS = [
    ".env", ".env.bak", ".git/config", "state/journal/2026-11.jsonl", "state/agents/publisher.json",
    "state/mailbox/chat/c1.jsonl", "state/run/redis/appendonlydir/x", "state/secrets/status-links",
    "var/journal/2026-11.jsonl", "var/secrets/status-links", "content/drafts/a.md",
]  # fmt: skip
CODE = [".env.example", "settings.py", "state/journal/journal.py", "content/a.md", "deploy/server.sh", "web/deep/er.py"]


def test_the_services_can_read_the_code_but_no_private_file(tmp_path: Path) -> None:
    for name in (*SECRETS, *CODE):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        file.chmod(0o600 if name in SECRETS else 0o660)
    for folder in ("web", "web/deep", "state", "content"):
        (tmp_path / folder).chmod(0o700)
    outside = tmp_path.with_name("outside")
    outside.write_text("x")
    outside.chmod(0o600)
    (tmp_path / "link").symlink_to(outside)
    functions = (DEPLOY / "server.sh").read_text().removesuffix("main\n")

    done = run("sh", "-c", f"{functions}\napp={tmp_path}\nopen_code", env={"DESTDIR": ""})

    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (*SECRETS, *CODE)}
    assert done.returncode == 0, done.stderr
    assert modes == dict.fromkeys(SECRETS, 0o600) | dict.fromkeys(CODE, 0o644)
    assert stat.S_IMODE((tmp_path / "web/deep").stat().st_mode) == 0o755
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600


def test_it_moves_the_settings_before_it_opens_the_code(tmp_path: Path) -> None:
    script = (DEPLOY / "server.sh").read_text()
    main = script.partition("main() {")[2].partition("}")[0].split()

    assert main.index("make_env") < main.index("open_code") < main.index("install_app")


def test_with_destdir_it_leaves_the_checkout_alone(tmp_path: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in ROOT.iterdir() if path.name in {".env", ".venv", "content"}}

    install(tmp_path)

    assert before == {path: path.lstat().st_mtime_ns for path in before}


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = run(tool("shellcheck"), script)

    assert done.returncode == 0, done.stdout
