"""Redis over TLS: every client checks the server's certificate and its name, unless the URL says otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.effects.client import EffectServer
from tests.harness import Certificate, Install, Node, RedisGroup, ServerMissing, Valkey, until
from tests.harness.ports import free_ports
from tests.harness.redis_cluster import RedisCluster
from tests.harness.redis_group import server_with_tls

pytestmark = pytest.mark.slow

#: What each client of the product says when it sends a command.
READERS = """
    import json
    from state.redis import client as store
    def ask(how):
        try:
            return str(how())
        except Exception as error:
            seen = []
            while error is not None:
                seen.append(f"{type(error).__name__}: {error}")
                error = error.__cause__ or error.__context__
            return " | ".join(seen)
    def broker():
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            return connection.default_channel.client.ping()
    app.conf.result_backend_always_retry = False
    print(json.dumps([ask(store.client().ping), ask(broker), ask(app.backend.client.ping)]))
"""


def program() -> str:
    """A server with TLS. Where there is none: skip at home, fail in CI."""
    try:
        return server_with_tls()
    except ServerMissing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def a_server(folder: Path, names: str) -> tuple[Node, Certificate]:
    certificate, [port] = Certificate(folder, names), free_ports(1)
    options = {"port": "0", "tls-port": str(port), "bind": "127.0.0.1", "dir": str(folder), "save": ""}
    command = [
        program(),
        *(part for pair in (options | certificate.options).items() for part in (f"--{pair[0]}", pair[1])),
    ]
    return Node(command, folder, port, certificate, checked_name=False).start(), certificate


@pytest.fixture
def named_otherwise(tmp_path: Path) -> Iterator[tuple[Node, Certificate]]:
    """A server whose certificate is for another host."""
    node, certificate = a_server(tmp_path, "DNS:elsewhere.example")
    yield node, certificate
    node.close()


def ask(folder: Path, url: str) -> list[str]:
    """What ledger, broker and results of an installation with this URL answer."""
    house = Install(folder / "house", url, task_modules=())
    try:
        answers: list[str] = json.loads(house.python(READERS).splitlines()[-1])
    finally:
        house.close()
    return answers


def test_a_server_with_a_certificate_for_another_host_is_refused_by_every_client(
    named_otherwise: tuple[Node, Certificate], tmp_path: Path
) -> None:
    node, certificate = named_otherwise
    url = f"rediss://127.0.0.1:{node.port}/0?ssl_ca_certs={certificate.authority}"

    assert all("IP address mismatch" in answer for answer in ask(tmp_path, url))
    assert ask(tmp_path, f"{url}&ssl_check_hostname=false") == ["True"] * 3


def test_a_bare_rediss_url_does_not_believe_an_authority_that_nobody_named(
    named_otherwise: tuple[Node, Certificate], tmp_path: Path
) -> None:
    """kombu by itself checks nothing then."""
    node, _ = named_otherwise

    answers = ask(tmp_path, f"rediss://127.0.0.1:{node.port}/0")

    assert all("CERTIFICATE_VERIFY_FAILED" in answer for answer in answers), answers


def test_sentinels_and_servers_with_tls_and_a_password_are_reached_by_every_client(tmp_path: Path) -> None:
    group = RedisGroup(program=program(), tls=Certificate(tmp_path), password="p@ss:w/rd").start()
    try:
        assert ask(tmp_path, group.url) == ["True"] * 3
    finally:
        group.close()


def found_by_doctor(house: Install) -> str:
    rows = json.loads(house.celery("gate", "doctor", "--json").stdout)
    return next(str(row["found"]) for row in rows if row["check"] == "redis cluster")


def test_a_cluster_with_tls_holds_the_ledger(tmp_path: Path, valkey: Valkey, effects: EffectServer) -> None:
    """The nodes that the first ones name are spoken to with TLS too, and have to show a certificate of the same authority."""
    cluster = RedisCluster(program=program(), tls=Certificate(tmp_path)).start()
    env = {"EFFECTS_URL": effects.base_url, "BROKER_URL": valkey.url}
    house = Install(tmp_path / "house", cluster.url, task_modules=("counter", "storyteller"), env=env)
    try:
        house.worker(concurrency=2)
        assert house.answer(house.call("counter.add", a=1, b=2))["result"] == 3
        assert house.answer(house.call("counter.capped", n=1))["ok"]
        assert house.answer(house.call("counter.capped", n=1))["replayed"]
        assert effects.counts() == {"capped:1": 1}
        # A node that a busy machine kept from answering may be missing for a moment.
        until(lambda: found_by_doctor(house) == "3 primaries, 3 replicas", 30, "doctor to see each replica")
        house.env["REDIS_URL"] = cluster.url.partition("?")[0]
        refused = house.celery("gate", "status")
        assert refused.returncode == 1
        assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    finally:
        house.close()
        cluster.close()
