"""Every client understands a Redis URL in the same way, with one server, user, password and database, or it is refused."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from server_urls import redis_url
from server_urls.redis_url import RedisUrl, read
from settings import SettingsError
from settings import read as read_settings

CANARY = "canary-secret"


@pytest.mark.parametrize(
    ("url", "written", "for_kombu"),
    [
        ("redis://host", "redis://host:6379/0", "redis://host:6379/0"),
        ("redis://", "redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("REDIS://Host:1/3", "redis://host:1/3", "redis://host:1/3"),
        ("redis://host/3/", "redis://host:6379/3", "redis://host:6379/3"),
        ("redis://host?db=2", "redis://host:6379/2", "redis://host:6379/2"),
        ("redis://host/1?db=2", "redis://host:6379/2", "redis://host:6379/2"),
        ("valkey://host", "redis://host:6379/0", "redis://host:6379/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://:p%40ss@h/0", "redis://:p%40ss@h:6379/0", "redis://:p%40ss@h:6379/0"),
        ("redis://:p@ss@h/0", "redis://:p%40ss@h:6379/0", "redis://:p%40ss@h:6379/0"),
        ("redis://h?username=ada&password=p%2Fw", "redis://ada:p%2Fw@h:6379/0", "redis://ada:p%2Fw@h:6379/0"),
        ("unix:///r.sock", "unix:///r.sock?db=0", "redis+socket:///r.sock?virtual_host=0"),
        ("unix:///r.sock?password=pw", "unix://:pw@/r.sock?db=0", "redis+socket://:pw@/r.sock?virtual_host=0"),
        (
            "unix:///r.sock?db=2&username=ada&password=p%3Fw",
            "unix://ada:p%3Fw@/r.sock?db=2",
            "redis+socket://ada:p%3Fw@/r.sock?virtual_host=2",
        ),
        ("unix://:pw@/r.sock?db=1", "unix://:pw@/r.sock?db=1", "redis+socket://:pw@/r.sock?virtual_host=1"),
        ("redis+socket:///r.sock?virtual_host=4", "unix:///r.sock?db=4", "redis+socket:///r.sock?virtual_host=4"),
        (
            "rediss://h",
            "rediss://h:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true",
            "rediss://h:6379/0",
        ),
        (
            "rediss://h?ssl_cert_reqs=CERT_NONE",
            "rediss://h:6379/0?ssl_cert_reqs=none&ssl_check_hostname=false",
            "rediss://h:6379/0",
        ),
    ],
)
def test_a_url_is_written_in_one_form(url: str, written: str, for_kombu: str) -> None:
    found = read(url)

    assert str(found) == written
    assert found.for_kombu == for_kombu
    assert str(read(written)) == written
    assert str(read(for_kombu).for_kombu) == for_kombu


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://host", "add the name of `sentinel monitor`"),
        ("redis-cluster://host", "does not say whether the cluster has TLS"),
        ("redis-sentinel://host", "must start with redis://"),
        ("redis://a:1,b:2/0", "cannot be read"),
        ("redis://a,b/0", "several servers"),
        ("redis://h:0", "port 0"),
        ("redis://h/name", "database that is not a number"),
        ("redis://h/-1", "database that is not a number"),
        ("redis://h?db=x", "database that is not a number"),
        ("unix:///r.sock?db=1.5", "database that is not a number"),
        ("unix://r.sock", "three slashes"),
        ("unix:///", "three slashes"),
        ("redis://h/0#x", "'#'"),
        (f"redis://:{CANARY}#x@h/0", "percent-encode"),
        (f"redis://{CANARY}@h/0", "no password"),
        (f"redis://:{CANARY}@h/0?socket_timeout=5", "socket_timeout, which Gatehouse sets itself"),
        (f"redis://:{CANARY}@h/0?health_check_interval=5", "sets itself"),
        (f"redis://h/0?pasword={CANARY}", "unknown option 'pasword'"),
        (f"redis://h/0?password={CANARY}&password={CANARY}", "twice"),
        ("redis://h?ssl_cert_reqs=none", "needs TLS"),
        ("unix:///r.sock?ssl_ca_certs=/x", "needs TLS"),
        ("rediss://h?ssl_cert_reqs=maybe", "required, optional or none"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "ssl_ca_certs"),
        ("rediss://h?ssl_ca_certs=pyproject.toml", "whole path"),
        ("rediss://h?ssl_check_hostname=perhaps", "true or false"),
        ("rediss://h?ssl_check_hostname=true&ssl_cert_reqs=none", "remove one"),
        (f"redis://:{CANARY} x@h/0", "space"),
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_what_not_every_reader_understands_is_refused_in_one_sentence(name: str, url: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({name: url})

    words = str(refusal.value)
    assert words.startswith(name)
    assert says in words
    assert CANARY not in words
    assert "\n" not in words


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
servers = st.builds(
    RedisUrl,
    host=st.sampled_from(["h", "redis.example.org", "::1", "127.0.0.1"]),
    port=st.integers(1, 65_535),
    path=st.one_of(st.just(""), texts.map(lambda name: f"/run/{name}x")),
    database=st.integers(0, 15),
    username=st.one_of(st.just(""), texts),
    password=texts.filter(bool),
)


def _seen_by_redis_py(url: str) -> dict[str, Any]:
    seen = redis.ConnectionPool.from_url(url).connection_kwargs
    place = seen["path"] if "path" in seen else (seen["host"], seen["port"])
    return {"place": place, "db": seen["db"], "username": seen.get("username"), "password": seen.get("password")}


def _seen_by_kombu(url: str) -> dict[str, Any]:
    """Return what the broker's channel passes to redis-py."""
    with Connection(url) as connection:
        transport: Any = connection.transport
        channel = transport.Channel.__new__(transport.Channel)
        channel.connection = transport
        channel.connection.client = connection
        for name in ("max_connections", "socket_timeout", "socket_connect_timeout", "retry_on_timeout", "client_name"):
            setattr(channel, name, None)
        seen = channel._connparams()
    place = seen["path"] if "path" in seen else (seen["host"], seen["port"])
    return {"place": place, "db": seen["db"], "username": seen.get("username"), "password": seen.get("password")}


@given(servers)
def test_every_reader_sees_the_same_server(server: RedisUrl) -> None:
    means = {
        "place": server.path or (server.host, server.port),
        "db": server.database,
        "username": server.username or None,
        "password": server.password,
    }

    assert _seen_by_redis_py(str(server)) == means
    assert _seen_by_kombu(server.for_kombu) == means


def test_no_password_is_shown() -> None:
    assert CANARY not in repr(read(f"redis://u:{CANARY}@h"))


def test_tls_is_checked_unless_the_url_says_otherwise(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("x")

    assert read("redis://h").ssl_options is None
    assert read("rediss://h").ssl_options == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    assert read(f"rediss://h?ssl_ca_certs={authority}").ssl_options == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(authority),
    }
    pool = redis.ConnectionPool.from_url(str(read("rediss://h")))
    context: Any = pool.make_connection()
    assert context.cert_reqs == ssl.CERT_REQUIRED
    assert redis_url.DEFAULT_PORT == pool.connection_kwargs["port"]
