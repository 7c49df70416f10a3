"""Kombu, py-amqp and our own look at RabbitMQ understand its URL alike, or it is refused in one sentence."""

from __future__ import annotations

import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

import settings
from gatekeeper.run import sockets
from server_urls import broker_url
from server_urls.amqp_url import AmqpUrl, is_amqp, read
from server_urls.redis_url import RedisUrl
from settings import SettingsError
from settings import read as read_settings
from workers.config import celery_config

CANARY = "canary-secret"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("amqp://", "amqp://localhost:5672/%2F"),
        ("amqp://host", "amqp://host:5672/%2F"),
        ("AMQP://Host:1/", "amqp://host:1/%2F"),
        ("amqp://host//", "amqp://host:5672/%2F"),
        ("amqp://host/%2F", "amqp://host:5672/%2F"),
        ("amqp://host/jobs", "amqp://host:5672/jobs"),
        ("amqp://host/a%2Fb", "amqp://host:5672/a%2Fb"),
        ("amqp://ada:p@ss@host/", "amqp://ada:p%40ss@host:5672/%2F"),
        ("amqp://guest:guest@host/", "amqp://host:5672/%2F"),
        ("amqps://host", "amqps://host:5671/%2F"),
    ],
)
def test_a_url_is_written_in_one_form(url: str, written: str) -> None:
    found = read(url)

    assert str(found) == written
    assert str(read(written)) == written
    assert read_settings({"BROKER_URL": url}).broker_url == written


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://a;amqp://b", "17 s"),
        ("amqp://a:1,b:2/", "17 s"),
        (f"amqp://{CANARY}@host/", "needs a user and a password"),
        (f"amqp://:{CANARY}@host/", "needs a user and a password"),
        (f"amqp://u:{CANARY}#x@host/", "percent-encode"),
        ("amqp://host/#x", "'#'"),
        ("amqp://host:0/", "port 0"),
        ("amqp://host:x/", "cannot be read"),
        ("amqp://ho st/", "space"),
        (f"amqp://host/?heartbeat={CANARY}", "unknown or repeated option 'heartbeat'"),
        ("amqp://host/?ssl_ca_certs=/x", "whole path of a file"),
        ("amqps://host/?ssl_cert_reqs=none", "always checked"),
        ("amqps://host/?ssl_check_hostname=false", "always checked"),
        ("amqps://host/?ssl_ca_certs=pyproject.toml", "whole path"),
        ("kafka://host", "RabbitMQ's URLs start with amqp://"),
    ],
)
def test_what_not_every_reader_understands_is_refused_in_one_sentence(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({"BROKER_URL": url})

    words = str(refusal.value)
    assert words.startswith("BROKER_URL")
    assert says in words
    assert CANARY not in words
    assert "\n" not in words


def test_a_file_of_a_certificate_needs_tls(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")

    with pytest.raises(SettingsError, match="begin the URL with amqps://"):
        read_settings({"BROKER_URL": f"amqp://h/?ssl_ca_certs={file}"})
    with pytest.raises(SettingsError, match="ssl_certfile"):
        read_settings({"BROKER_URL": f"amqps://h/?ssl_keyfile={file}"})


def test_the_ledger_is_never_rabbitmq() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL must start with redis://"):
        read_settings({"REDIS_URL": "amqp://host"})


def test_the_scheme_chooses_the_reader() -> None:
    assert isinstance(broker_url.read("amqp://h"), AmqpUrl)
    assert isinstance(broker_url.read("redis://h"), RedisUrl)
    assert is_amqp("AMQPS://h")
    assert not is_amqp("redis://h")


texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)
logins = st.one_of(st.just(("", "")), st.tuples(texts, texts).filter(lambda login: login != ("guest", "guest")))


@given(st.sampled_from(["h", "mq.example.org", "127.0.0.1"]), st.integers(1, 65_535), texts, logins)
def test_kombu_sees_the_same_server(host: str, port: int, virtual_host: str, login: tuple[str, str]) -> None:
    url = AmqpUrl(host, port, virtual_host, *login)

    with Connection(url.for_kombu) as connection:
        seen = connection.info()
    assert (seen["hostname"], seen["port"]) == (host, port)
    assert (seen["userid"], seen["password"]) == (login if any(login) else ("guest", "guest"))
    assert seen["virtual_host"] == virtual_host
    assert read(str(url)) == url


def test_no_password_is_shown() -> None:
    assert CANARY not in repr(read(f"amqp://u:{CANARY}@h"))
    found = read_settings({"BROKER_URL": f"amqp://u:{CANARY}@h", "BROKER_API_URL": f"http://u:{CANARY}2@h:15672"})
    assert {CANARY, f"{CANARY}2"} <= {*found.secrets}


def test_tls_checks_the_chain_and_the_name(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("x")

    assert read("amqp://h").ssl_options is None
    assert read(f"amqps://h/?ssl_ca_certs={authority}").ssl_options == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "h",
        "ca_certs": str(authority),
    }


@pytest.mark.parametrize("url", ["http://h:15672", "http://h:15672/", "http://h:15672/api", "http://h:15672/api/"])
def test_the_management_api_is_written_as_flower_takes_it(url: str) -> None:
    assert read_settings({"BROKER_API_URL": url}).broker_api_url == "http://h:15672/api/"


def test_celery_confirms_what_it_publishes_to_rabbitmq_and_redis_keeps_its_own_settings() -> None:
    rabbitmq: dict[str, Any] = celery_config(read_settings({"BROKER_URL": "amqp://h"}))
    redis: dict[str, Any] = celery_config(read_settings({}))

    assert rabbitmq["broker_transport_options"]["confirm_publish"]
    assert rabbitmq["task_acks_late"]
    assert rabbitmq["worker_prefetch_multiplier"] == 1
    assert "visibility_timeout" not in rabbitmq["broker_transport_options"]
    assert "visibility_timeout" in redis["broker_transport_options"]
    assert "broker_heartbeat" not in redis


@pytest.mark.parametrize(("url", "host"), [("amqp://mq:1", "mq"), ("amqp://localhost:1", "127.0.0.1")])
def test_a_connection_to_our_broker_is_no_way_out_of_an_effect(
    monkeypatch: pytest.MonkeyPatch, url: str, host: str
) -> None:
    monkeypatch.undo()  # the fixture of each test takes every connection for ours
    monkeypatch.setattr(settings, "current", lambda: read_settings({"BROKER_URL": url}))

    assert sockets.is_own(SimpleNamespace(host=host, port=1))
    assert not sockets.is_own(SimpleNamespace(host=host, port=2))
    assert not sockets.is_own(SimpleNamespace(host="elsewhere", port=1))
