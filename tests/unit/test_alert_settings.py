"""The settings of alerts: what is refused at start, and which parts of an address are secrets."""

from __future__ import annotations

import pytest

from settings import SettingsError, read


def test_addresses_are_separated_by_spaces_and_are_secrets_with_their_parts() -> None:
    mail, telegram = "mailto://me:a-long-password@mail.example.org?to=me", "tgram://123456:AAbbCCddEEff/987654321"

    found = read({"ALERT_URLS": f"{mail}  {telegram}"})

    assert found.alert_urls == (mail, telegram)
    assert {mail, telegram, "a-long-password"} <= {*found.secrets}
    assert "mail.example.org" not in found.secrets


def test_a_token_in_the_place_of_the_host_is_a_secret() -> None:
    assert "ThisIsAVeryLongToken" in read({"ALERT_URLS_URGENT": "pover://user@ThisIsAVeryLongToken"}).secrets


@pytest.mark.parametrize("name", ["ALERT_URLS", "ALERT_URLS_URGENT"])
def test_an_address_without_a_service_is_refused_by_its_place_and_not_shown(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: address 2 does not begin with a service") as refused:
        read({name: "ntfy://ntfy.sh/topic my-secret-token"})

    assert "my-secret-token" not in str(refused.value)


def test_durations_and_quiet_hours_are_read() -> None:
    found = read({"ESCALATE_AFTER": "2h", "QUIET_HOURS": "22:00-7:30"})

    assert (found.escalate_after, found.quiet_hours) == (7200, (22 * 60, 7 * 60 + 30))
    assert (read({}).escalate_after, read({}).quiet_hours) == (1800, None)


@pytest.mark.parametrize("value", ["30", "m", "0m", "-5m", "1.5h", "30 minutes", "999999999d"])
def test_what_is_not_a_duration_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"ESCALATE_AFTER=.* is not a duration such as 90s, 30m"):
        read({"ESCALATE_AFTER": value})


@pytest.mark.parametrize("value", ["22-7", "25:00-07:00", "22:00", "07:00-07:00", "22:00–07:00"])
def test_what_is_not_a_part_of_the_day_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="QUIET_HOURS="):
        read({"QUIET_HOURS": value})
