"""A URL of a cluster: every form is read as one, and it names the ledger only."""

from __future__ import annotations

import pytest

from server_urls.redis_url import read
from settings import SettingsError
from settings import read as read_settings
from workers.config import celery_config

CANARY = "canary-secret"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("redis+cluster://a:1,b,c:3", "redis+cluster://a:1,b:6379,c:3/0"),
        ("valkey+cluster://a/0", "redis+cluster://a:6379/0"),
        ("REDIS+CLUSTER://[::1]:5,h", "redis+cluster://[::1]:5,h:6379/0"),
        ("redis+cluster://u:p%2Cw@a,b/0", "redis+cluster://u:p%2Cw@a:6379,b:6379/0"),
        (
            "rediss+cluster://a,b",
            "rediss+cluster://a:6379,b:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true",
        ),
    ],
)
def test_a_url_of_a_cluster_is_written_in_one_form(url: str, written: str) -> None:
    assert str(read(url)) == written
    assert str(read(written)) == written


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+cluster://a,b/1", "none but 0"),
        ("redis+cluster://a?ssl_cert_reqs=none", "rediss+cluster://"),
        ("rediscluster://a", "redis+cluster:// or rediss+cluster://"),
        (f"redis+cluster://a;redis+cluster://:{CANARY}@b/0", "login before a later node"),
    ],
)
def test_what_no_cluster_has_is_refused(url: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({"REDIS_URL": url, "BROKER_URL": "redis://h"})

    assert says in str(refusal.value)
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize("more", [{}, {"BROKER_URL": "redis+cluster://a"}])
def test_messages_cannot_be_in_a_cluster(more: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="BROKER_URL must name another server where REDIS_URL names a cluster"):
        read_settings({"REDIS_URL": "redis+cluster://a", **more})


def test_the_password_is_a_secret_and_celery_gets_no_url_of_the_cluster() -> None:
    chosen = read_settings({"REDIS_URL": f"redis+cluster://:{CANARY}@a,b", "BROKER_URL": "amqp://h"})

    assert chosen.secrets == (CANARY,)
    assert celery_config(chosen)["result_backend"] is None
