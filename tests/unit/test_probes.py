"""What the monitor can look at, each against the real thing."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest
import requests.adapters
from celery import Celery
from kombu.transport.redis import PRIORITY_STEPS, Channel

import settings
from clients.http import certificate
from state.health import QUEUE
from state.redis import client
from tasks.monitor import config, probes
from tasks.monitor.checks import Check, CheckResult
from tasks.monitor.config import MonitorConfig, Site, Thresholds
from tests.harness import Valkey
from tests.web_server import WebServer
from workers.config import celery_config


class Answers(BaseHTTPRequestHandler):
    """`/503` answers 503, everything else 200; `/slow` takes its time."""

    def do_GET(self) -> None:
        Event().wait(0.1 if self.path == "/slow" else 0)
        self.send_response(503 if self.path == "/503" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[WebServer]:
    made = WebServer(Answers).start()
    yield made
    made.close()


@pytest.fixture
def secure(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    """The server behind TLS, with a certificate that is good for ten days and that we trust."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    made = tmp_path / "server.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(tmp_path / "key.pem")]
    command = [openssl, "req", "-x509", *key, "-days", "10", *names, "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(certificate, "DEFAULT_CA_BUNDLE_PATH", str(made))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(made))
    return server


@pytest.fixture
def in_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Set variables for this process; its folders are the test's own."""

    def set_them(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.current.cache_clear()
        client.client.cache_clear()

    set_them(CONTENT_DIR=str(tmp_path), STATE_DIR=str(tmp_path), PUBLIC_DIR=str(tmp_path / "public"))
    yield set_them
    monkeypatch.undo()
    settings.current.cache_clear()
    client.client.cache_clear()


def site(server: WebServer, path: str = "/", scheme: str = "http", **more: object) -> Site:
    host = "localhost" if scheme == "https" else "127.0.0.1"
    url = f"{scheme}://{host}:{server.server_address[1]}{path}"
    return Site.model_validate({"name": "it", "url": url, **more})


def checked(site: Site) -> dict[str, CheckResult]:
    return {
        look.name: look.check() for look in probes.checks(MonitorConfig(url=(site,))) if look.name.endswith(site.name)
    }


# URLs


def test_a_url_that_answers_as_it_should_is_in_order(server: WebServer) -> None:
    seen = checked(site(server))

    assert set(seen) == {"url it"}
    assert seen["url it"].ok
    assert (seen["url it"].value or "").startswith("200 in ")


def test_another_status_is_not_in_order_unless_it_is_the_one_expected(server: WebServer) -> None:
    seen = checked(site(server, "/503"))["url it"]

    assert not seen.ok
    assert (seen.why or "").endswith("/503 answered 503 instead of 200")
    assert checked(site(server, "/503", status=503))["url it"].ok


def test_an_answer_that_takes_too_long_is_not_in_order(server: WebServer) -> None:
    seen = checked(site(server, "/slow", max_latency="20ms"))["url it"]

    assert not seen.ok
    assert " took " in (seen.why or "")


def test_a_server_that_is_away_is_not_in_order(server: WebServer) -> None:
    gone = site(server)
    server.shutdown()
    server.server_close()

    seen = checked(gone)["url it"]

    assert not seen.ok
    assert (seen.why or "").endswith(" does not answer: Connection refused")


# Certificates


def test_the_days_left_on_a_certificate_are_told(secure: WebServer) -> None:
    seen = checked(site(secure, scheme="https", cert_days=5))

    assert seen["url it"].ok, seen["url it"].why
    assert seen["certificate it"].ok
    assert seen["certificate it"].value == "9 days left"


def test_a_certificate_that_ends_soon_is_not_in_order(secure: WebServer) -> None:
    seen = checked(site(secure, scheme="https", cert_days=14))["certificate it"]

    assert not seen.ok
    assert (seen.why or "").startswith("the certificate of localhost ends on 20")


def test_a_certificate_that_nobody_trusts_is_not_in_order(secure: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    seen = checked(site(secure, scheme="https"))

    assert not seen["certificate it"].ok
    assert not seen["url it"].ok
    assert "certificate" in (seen["certificate it"].why or "")
    assert (seen["url it"].why or "").endswith(" does not answer: its certificate: self-signed certificate")


# The machine and Redis


def named(name: str, limits: Thresholds) -> CheckResult:
    (look,) = [look for look in probes.checks(MonitorConfig(limits=limits)) if look.name == name]
    return look.check()


@pytest.mark.parametrize("name", ["disk state", "memory", "load", "redis ping", "redis memory", "queue"])
def test_each_is_in_order_below_its_limit(name: str, valkey: Valkey, in_settings: Callable[..., None]) -> None:
    in_settings(REDIS_URL=valkey.url)
    written = {"disk_percent": 100, "memory_percent": 100, "load_per_core": 10_000, "redis_ping": "1h", "queue": 1}
    generous = Thresholds.model_validate(written)

    seen = named(name, generous)

    assert seen.ok, seen.why
    assert seen.value
    assert seen.limit


@pytest.mark.parametrize("name", ["disk state", "memory", "load", "redis memory"])
def test_each_is_not_in_order_above_it(name: str, valkey: Valkey, in_settings: Callable[..., None]) -> None:
    in_settings(REDIS_URL=valkey.url)
    hardly_any = 0.000_001
    strict = Thresholds(
        disk_percent=hardly_any,
        memory_percent=hardly_any,
        load_per_core=hardly_any,
        redis_memory_percent=hardly_any,
    )

    seen = named(name, strict)

    assert not seen.ok
    assert seen.why


def test_messages_that_wait_in_the_broker_are_counted_where_the_broker_is(
    valkey: Valkey, in_settings: Callable[..., None]
) -> None:
    in_settings(REDIS_URL="redis://127.0.0.1:1", BROKER_URL=valkey.url)
    valkey.client().rpush("celery", "a", "b")
    valkey.client().rpush("celery\x06\x169", "urgent")

    assert named("queue", Thresholds(queue=3)).value == "3 waiting"
    assert not named("queue", Thresholds(queue=2)).ok


def test_the_queue_is_the_one_that_the_workers_read() -> None:
    name = Celery(config_source=celery_config(settings.current()), set_as_current=False).conf.task_default_queue

    beside = tuple(f"{name}{Channel.sep}{step}" for step in PRIORITY_STEPS if step)
    assert (name, *beside) == QUEUE


def test_a_redis_that_evicts_or_keeps_no_file_is_not_in_order(
    fragile_valkey: Valkey, in_settings: Callable[..., None]
) -> None:
    in_settings(REDIS_URL=fragile_valkey.url)
    assert named("redis aof", Thresholds()).ok
    assert named("redis eviction", Thresholds()).ok

    fragile_valkey.client().config_set("maxmemory-policy", "allkeys-lru")
    fragile_valkey.client().config_set("appendonly", "no")

    assert named("redis eviction", Thresholds()).value == "allkeys-lru"
    assert not named("redis eviction", Thresholds()).ok
    assert not named("redis aof", Thresholds()).ok


def test_a_redis_that_is_away_is_not_in_order_and_the_machine_still_is(in_settings: Callable[..., None]) -> None:
    in_settings(REDIS_URL="redis://127.0.0.1:1")

    assert not named("redis eviction", Thresholds()).ok
    assert named("memory", Thresholds(memory_percent=100)).ok


# What to watch


def write(folder: Path, text: str) -> None:
    (folder / config.FILE).write_text(text)


def test_without_a_file_our_own_web_process_is_watched(in_settings: Callable[..., None]) -> None:
    in_settings(WEB_PORT="8123")

    assert [site.url for site in config.read()[0].url] == ["http://127.0.0.1:8123/healthz"]


def test_the_file_that_ships_says_what_holds_without_one(in_settings: Callable[..., None]) -> None:
    in_settings(CONTENT_DIR=str(settings.ROOT / "content"))

    assert config.read() == (config.default(), [])


def test_a_url_says_what_it_expects(in_settings: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path, '[[url]]\nname = "a"\nurl = "https://example.org/"\nstatus = 204\nmax_latency = "700ms"\n')

    (found,) = config.read()[0].url

    assert (found.url, found.status, found.max_latency, found.cert_days) == ("https://example.org/", 204, 700, 14)


def test_a_bad_entry_of_the_file_hides_no_other(in_settings: Callable[..., None], tmp_path: Path) -> None:
    good = '[[url]]\nname = "{}"\nurl = "http://a"\n'
    bad = '[[url]]\nname = "b"\nurl = "ftp://a"\n'
    limits = "[limits]\nqueue = 7\ndisk_percent = 500\n"
    write(tmp_path, 'second_look = "1s"\nsecond = 3\n' + good.format("a") + bad + good.format("c") + limits)

    watched, problems = config.read()

    assert [site.name for site in watched.url] == ["a", "c"]
    assert (watched.second_look, watched.limits.queue, watched.limits.disk_percent) == (1000, 7, 90)
    assert [problem.split(": ")[1] for problem in problems] == ["url.1.url", "limits.disk_percent", "second"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[url]]\n", "url.0.name: Field required"),
        ('[[url]]\nname = "a"\nurl = "example.org"', "is not a URL; write https://"),
        ('[[url]]\nname = "a"\nurl = "http://a"\nlatency = "2s"', "url.0.latency: Extra inputs"),
        ('[[url]]\nname = "a"\nurl = "http://a"\nmax_latency = "soon"', "'soon' is not a duration"),
        ('[[url]]\nname = "a"\nurl = "http://a"\n' * 2, "the name 'a' is there twice"),
        ("[limits]\ndisk_percent = 101", "limits.disk_percent"),
        ('second_look = "5m"', "is too long"),
        ("not toml", "monitor.toml: "),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ('[[url]]\nname = "a"\nurl = "https://a:99999"', "is not a URL: Port out of range"),
        ('[[url]]\nname = "a"\nurl = "http://a"\nstatus = true', "url.0.status: "),
        ('[[url]]\nname = "a"\nurl = "http://a"\ncert_days = 99999999999999999999', "url.0.cert_days: "),
        ("[limits]\nload_per_core = inf", "limits.load_per_core: "),
        ("limits = 3", "limits: "),
        ("".join(f'[[url]]\nname = "{n}"\nurl = "http://a"\n' for n in range(21)), "at most 20 are"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(
    in_settings: Callable[..., None], tmp_path: Path, text: str, says: str
) -> None:
    write(tmp_path, text)

    _, problems = config.read()

    assert any(says in problem for problem in problems)
    assert all(problem.startswith(config.FILE) for problem in problems)


def test_every_look_has_a_name_of_its_own(in_settings: Callable[..., None]) -> None:
    looks: list[Check] = list(probes.checks(config.read()[0]))

    assert len({look.name for look in looks}) == len(looks)
