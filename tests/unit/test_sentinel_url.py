"""A URL of sentinels: every form is read as one, and says all that the ledger, kombu and the results need."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from kombu import Connection
from redis.exceptions import ConnectionError  # noqa: A004 - Redis's own

from deploy import redis_server
from deploy.redis_server import ServerError
from server_urls.redis_url import read
from settings import SettingsError
from settings import read as read_settings
from state.errors import RedisAway
from state.redis import client, opening
from workers import broker, sentinel_broker
from workers.config import celery_config, transport_options

CANARY = "canary-secret"
THREE = "sentinel://a:1,b:26379,c:3/2?master=gate"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("sentinel://a:1,b,c:3/2?master=gate", THREE),
        ("sentinel://a:1;sentinel://b;sentinel://c:3/2?master=gate", THREE),
        ("sentinel://a:1/2;sentinel://b/2;sentinel://c:3/2?master=gate", THREE),
        ("SENTINEL://a?master=gate", "sentinel://a:26379/0?master=gate"),
        ("sentinel://[::1]:5,h?master=gate&db=3", "sentinel://[::1]:5,h:26379/3?master=gate"),
        ("sentinel://u:p%2Cw@a,b?master=gate", "sentinel://u:p%2Cw@a:26379,b:26379/0?master=gate"),
        (
            "sentinel://a?master=gate&sentinel_username=s&sentinel_password=p%26w",
            "sentinel://a:26379/0?master=gate&sentinel_username=s&sentinel_password=p%26w",
        ),
        (
            "sentinels://a?master=gate",
            "sentinels://a:26379/0?master=gate&ssl_cert_reqs=required&ssl_check_hostname=true",
        ),
    ],
)
def test_a_url_of_sentinels_is_written_in_one_form(url: str, written: str) -> None:
    assert str(read(url)) == written
    assert str(read(written)) == written


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://a,b", "add the name of `sentinel monitor`"),
        (f"sentinel://a;sentinel://:{CANARY}@b/0?master=gate", "login before a later sentinel"),
        ("sentinel://a/1;sentinel://b/0?master=gate", "several databases"),
        (f"sentinel://{CANARY}@a?master=gate", "no password"),
        (f"sentinel://a?master=gate&sentinel_username={CANARY}", "no sentinel_password"),
        ("sentinel://a?master=gate&ssl_cert_reqs=none", "sentinels://"),
        ("sentinel://a:x?master=gate", "cannot be read"),
        (f"sentinel://a?master=gate&pasword={CANARY}", "unknown option"),
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_what_cannot_be_meant_is_refused_in_one_sentence(name: str, url: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({name: url})

    assert str(refusal.value).startswith(name)
    assert says in str(refusal.value)
    assert CANARY not in str(refusal.value)


def test_the_ledger_asks_the_sentinels_with_their_login_and_the_server_with_its_own() -> None:
    client = opening.open_client(
        redis.Redis, "sentinels://u:p@a:1,b:2/3?master=gate&sentinel_password=s", socket_timeout=7
    )

    pool: Any = client.connection_pool
    to_sentinels = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert pool.service_name == "gate"
    assert [(each["host"], each["port"], each["password"]) for each in to_sentinels] == [("a", 1, "s"), ("b", 2, "s")]
    assert all(each["ssl_cert_reqs"] == "required" and each["socket_timeout"] == 1 for each in to_sentinels)
    to_server = pool.connection_kwargs
    assert (to_server["username"], to_server["password"], to_server["db"]) == ("u", "p", 3)
    assert (to_server["ssl_cert_reqs"], to_server["socket_timeout"]) == ("required", 7)


def test_kombu_knows_the_login_and_the_database_by_whichever_sentinel_it_goes_on_with() -> None:
    place = read("sentinel://u:p%3Bw@a:1,b:2/3?master=gate")

    with Connection(
        place.for_kombu, transport=sentinel_broker.SentinelTransport, transport_options=transport_options(place)
    ) as connection:
        assert connection.alt == ["sentinel://u:p%3Bw@a:1/3", "sentinel://u:p%3Bw@b:2/3"]
        for _ in range(2):
            assert (connection.userid, connection.password, connection.virtual_host) == ("u", "p;w", "3")
            connection.maybe_switch_next()
    assert issubclass(sentinel_broker.SentinelChannel, broker.Channel)


def test_celery_is_told_the_name_of_the_primary_for_messages_and_for_results() -> None:
    config = celery_config(read_settings({"REDIS_URL": THREE}))

    assert config["broker_transport_options"]["master_name"] == "gate"
    assert config["broker_transport_options"]["visibility_timeout"] == 3600
    assert config["result_backend_transport_options"]["master_name"] == "gate"
    assert "master_name" not in celery_config(read_settings({"REDIS_URL": "redis://h"}))["broker_transport_options"]


AWAY = f"sentinel://:{CANARY}@127.0.0.1:1,127.0.0.1:2/0?master=gate&sentinel_password={CANARY}"
SENTENCE = "none of the sentinels 127.0.0.1:1, 127.0.0.1:2 answers and knows a primary 'gate' that is up"


def test_sentinels_that_are_away_are_named_in_one_sentence() -> None:
    with pytest.raises(ServerError, match=f"^REDIS_URL: {SENTENCE}; start them, or correct the addresses or .master=$"):
        redis_server.check_reachable(AWAY)
    with pytest.raises(RedisAway, match=f"^{SENTENCE}$"):
        client.client(AWAY).ping()


def test_every_connection_with_sentinels_uses_our_transport() -> None:
    sentinel_broker.install()

    with Connection(read(THREE).for_kombu) as connection:
        assert connection.transport_cls == "sentinel"
        assert connection.get_transport_cls() is sentinel_broker.SentinelTransport


def test_kombu_says_the_same() -> None:
    place = read(AWAY)

    with (
        Connection(
            place.for_kombu, transport=sentinel_broker.SentinelTransport, transport_options=transport_options(place)
        ) as connection,
        pytest.raises(ConnectionError, match=f"^{SENTENCE}$"),
    ):
        connection.connect()


def test_the_password_of_the_sentinels_is_a_secret() -> None:
    url = f"sentinel://a?master=gate&sentinel_password={CANARY}"

    assert CANARY in read_settings({"REDIS_URL": url}).secrets
    assert CANARY not in repr(read(url))
