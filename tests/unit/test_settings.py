"""Settings: defaults that give a working system, and one clear line for each value that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

import data_dir
import settings
from settings import ROOT, SettingsError, read


def test_without_any_setting_everything_has_its_default() -> None:
    found = read({})

    assert found.embedded
    assert found.redis_url.startswith("unix://")
    assert found.broker_url == found.redis_url
    assert (found.state_dir, found.content_dir, found.public_dir) == (ROOT / "var", ROOT / "content", ROOT / "public")
    assert (found.log_format, found.log_level) == ("json", "info")
    assert (found.web_host, found.web_port, found.flower_port) == ("127.0.0.1", 8000, 5555)
    assert (found.desk_password, found.publish_to, found.task_modules) == ("", ("feed",), ())
    assert (found.http_timeout, found.ledger_days) == (20, 90)
    assert found.secrets == ()


def test_an_empty_value_counts_as_not_given() -> None:
    names = (
        "REDIS_URL",
        "BROKER_URL",
        "STATE_DIR",
        "WEB_PORT",
        "HTTP_TIMEOUT",
        "LOG_LEVEL",
        "PUBLISH_TO",
        "DESK_PASSWORD",
    )

    assert read(dict.fromkeys(names, "  ")) == read({})


def test_a_server_of_ones_own_is_the_broker_too_unless_another_is_named() -> None:
    assert read({"REDIS_URL": "redis://h:1/0"}).broker_url == "redis://h:1/0"
    assert not read({"REDIS_URL": "redis://h:1/0"}).embedded
    assert read({"REDIS_URL": "redis://h:1/0", "BROKER_URL": "redis://h:1/1"}).broker_url == "redis://h:1/1"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REDIS_URL", "localhost:6379", "must start with redis://"),
        ("REDIS_URL", "http://localhost", "must start with redis://"),
        ("REDIS_URL", "redis://:pass/word@host:6379/0", "percent-encode"),
        ("REDIS_URL", "redis://host:port/0", "number as its port"),
        ("REDIS_URL", "redis://[::1/0", "cannot be read"),
        ("REDIS_URL", "amqp://localhost", "must start with redis://"),
        ("BROKER_URL", "amqp://guest@localhost", "needs a user and a password"),
        ("BROKER_URL", "nonsense", "must start with redis://"),
        ("JOURNAL_URL", "mysql://host/db", "must start with postgresql://"),
        ("JOURNAL_URL", "postgresql://user:s3cr3t@host", "names no database"),
        ("JOURNAL_URL", "postgresql:///db", "names no host"),
        ("JOURNAL_URL", "postgresql://user:s3/cr3t@host:5432/db", "number as its port"),
        ("JOURNAL_URL", "postgresql://host/db?password=s3cr3t", "in the query"),
        ("JOURNAL_URL", "postgresql://host/db?options=-cx", "sets itself"),
        ("JOURNAL_URL", "postgresql://host/db#s3cr3t", "%23"),
        ("LOG_FORMAT", "xml", "json, console"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("WEB_PORT", "http", "1 to 65535"),
        ("WEB_PORT", "0", "1 to 65535"),
        ("WEB_PORT", "65536", "1 to 65535"),
        ("WEB_PORT", "-1", "1 to 65535"),
        ("WEB_PORT", "80.5", "1 to 65535"),
        ("FLOWER_PORT", "5555 # flower", "1 to 65535"),
        ("HTTP_TIMEOUT", "0", "number above 0"),
        ("HTTP_TIMEOUT", "-3", "number above 0"),
        ("HTTP_TIMEOUT", "nan", "number above 0"),
        ("HTTP_TIMEOUT", "inf", "number above 0"),
        ("HTTP_TIMEOUT", "20s", "number above 0"),
        ("LEDGER_DAYS", "ever", "number above 0"),
        ("DESK_PASSWORD", "pässword", "plain ASCII"),
    ],
)
def test_each_bad_value_is_one_clear_line_with_the_name_and_what_to_write(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read({name: value})

    words = str(refusal.value)
    assert words.startswith(name)
    assert says in words
    assert "\n" not in words


@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
@pytest.mark.parametrize(
    "value", ["http://:canary-secret@host", "redis://:canary-secret@host:x/0", "redis://:canary-secret/@[::1"]
)
def test_a_refused_address_keeps_its_password_to_itself(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read({name: value})

    assert "canary-secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_less_than_a_day_is_not_for_nothing() -> None:
    assert read({"LEDGER_DAYS": "0.5"}).ledger_days >= 1


def test_lists_may_have_spaces_and_empty_places() -> None:
    assert read({"PUBLISH_TO": " feed , ,mastodon,"}).publish_to == ("feed", "mastodon")
    assert read({"TASK_MODULES": "mine.agents"}).task_modules == ("mine.agents",)


def test_every_password_is_a_secret_as_it_is_meant() -> None:
    found = read(
        {"REDIS_URL": "redis://:p%40ss@h/0", "BROKER_URL": "redis://u:other%2Fone@h/1", "DESK_PASSWORD": "desk"}
    )

    assert set(found.secrets) == {"p@ss", "other/one", "desk"}


def test_relative_folders_are_those_of_the_checkout_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert read({"STATE_DIR": "elsewhere"}).state_dir == ROOT / "elsewhere"
    assert read({"STATE_DIR": str(tmp_path / "abs")}).state_dir == tmp_path / "abs"


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=8001\nFLOWER_PORT=5001\n")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setenv("WEB_PORT", "8002")
    monkeypatch.delenv("FLOWER_PORT", raising=False)

    found = read(settings.environment())

    assert (found.web_port, found.flower_port) == (8002, 5001)


def test_a_socket_path_is_never_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    for depth in range(1, 12):
        folder = tmp_path.joinpath(*["long-folder-name"] * depth)
        assert len(bytes(data_dir.embedded_socket(folder))) <= 107
        assert data_dir.embedded_socket(folder) == data_dir.embedded_socket(folder)


def test_the_web_address_can_be_opened() -> None:
    assert read({"WEB_HOST": "::1", "WEB_PORT": "81"}).web_url == "http://[::1]:81"
    assert read({"WEB_HOST": "0.0.0.0"}).web_url == "http://0.0.0.0:8000"
