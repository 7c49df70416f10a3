"""Signing in at the desk: by password, for a working day, with few tries; without a password on this machine only."""

from __future__ import annotations

import getpass

import pytest
from lxml import html
from starlette.testclient import TestClient

from state import sign_ins
from state.redis import client
from state.redis.keys import Keys
from tests.desk.conftest import HERE, PASSWORD, Visitor, forget_settings, sign_in


def heading(text: str) -> str:
    return str(html.fromstring(text).xpath("string(//h1)"))


def test_without_a_password_a_browser_on_this_machine_uses_the_desk_and_reads_so(browser: TestClient) -> None:
    page = browser.get("/")

    assert page.status_code == 200
    assert f"only this machine may use the desk, as <bdi>{getpass.getuser()}</bdi>" in page.text


@pytest.mark.parametrize(
    "elsewhere",
    [{"address": "203.0.113.7"}, {"x-forwarded-for": "203.0.113.7"}, {"base_url": "http://192.0.2.1:8000"}],
)
def test_without_a_password_the_desk_is_closed_to_every_other_machine(
    visitor: Visitor, elsewhere: dict[str, str]
) -> None:
    page = visitor(**elsewhere).get("/")

    assert page.status_code == 403
    assert "set DESK_PASSWORD" in page.text
    assert visitor(**elsewhere).get("/sign-in").status_code == 303


def test_with_a_password_even_this_machine_signs_in(password: str, browser: TestClient) -> None:
    answer = browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "./sign-in")

    sign_in(browser, "Ada Lovelace")

    assert "Signed in as <bdi>Ada Lovelace</bdi>" in browser.get("/").text


def test_a_wrong_password_is_refused_and_says_where_the_right_one_is(password: str, browser: TestClient) -> None:
    for wrong in ("guess", "", "pässword", PASSWORD + " "):
        answer = browser.post("/sign-in", data={"name": "Ada", "password": wrong})
        assert answer.status_code == 403
        assert "DESK_PASSWORD in .env" in answer.text
    assert browser.get("/").status_code == 303


def test_a_name_is_asked_for_and_remembered(password: str, browser: TestClient) -> None:
    assert browser.post("/sign-in", data={"name": " ", "password": PASSWORD}).status_code == 422

    sign_in(browser, "Zoë <b>")
    browser.post("/sign-out", data={"out": "1"})

    assert 'value="Zoë &lt;b&gt;"' in browser.get("/sign-in").text


def test_the_sixth_try_of_an_address_is_refused_even_with_the_right_password(password: str, visitor: Visitor) -> None:
    guesser = visitor(address="203.0.113.7")
    for _ in range(sign_ins.MAX_OF_ADDRESS):
        assert guesser.post("/sign-in", data={"name": "x", "password": "guess"}).status_code == 403

    answer = guesser.post("/sign-in", data={"name": "x", "password": PASSWORD})

    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= sign_ins.WINDOW_SECONDS
    sign_in(visitor(address="203.0.113.8"))


def test_many_addresses_together_have_a_limit_and_those_of_one_customer_count_as_one(
    password: str, visitor: Visitor
) -> None:
    for number in range(sign_ins.MAX_OF_ADDRESS + 1):
        same_network = visitor(address=f"2001:db8:1:2::{number + 1}").post(
            "/sign-in", data={"name": "x", "password": ""}
        )
    assert same_network.status_code == 429
    for number in range(sign_ins.MAX_OF_ALL):
        answer = visitor(address=f"198.51.100.{number}").post("/sign-in", data={"name": "x", "password": "guess"})

    assert answer.status_code == 429


def test_who_mistyped_and_then_signs_in_has_all_tries_again(password: str, browser: TestClient) -> None:
    for _ in range(3):
        for _ in range(sign_ins.MAX_OF_ADDRESS - 1):
            browser.post("/sign-in", data={"name": "Ada", "password": "typo"})
        sign_in(browser)


def test_a_copied_cookie_is_worth_nothing_after_the_sign_out(password: str, visitor: Visitor) -> None:
    mine, thief = sign_in(visitor()), visitor()
    thief.cookies.set("desk", mine.cookies["desk"])
    assert thief.get("/").status_code == 200

    assert mine.post("/sign-out", data={"out": "1"}).status_code == 303

    assert thief.get("/").status_code == 303


def test_a_session_ends_after_a_working_day(password: str, browser: TestClient) -> None:
    sign_in(browser)
    [name] = client.client().keys(Keys.session("*"))

    assert 0 < client.client().ttl(name) <= 8 * 3600
    assert browser.cookies["desk"] not in name


def test_a_new_password_ends_every_session(password: str, browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(browser)
    monkeypatch.setenv("DESK_PASSWORD", "another password")
    forget_settings()

    assert browser.get("/").status_code == 303


def test_the_password_is_not_in_redis(password: str, browser: TestClient) -> None:
    sign_in(browser)

    assert all(PASSWORD not in str(client.client().dump(name)) for name in client.client().keys("*desk-session*"))


@pytest.mark.parametrize("public", ["https://desk.example", "http://127.0.0.1:8000"])
def test_the_cookie_is_bound_to_this_host_and_to_https_where_that_is_spoken(
    password: str, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, public: str
) -> None:
    monkeypatch.setenv("PUBLIC_URL", public)
    forget_settings()

    answer = visitor(public).post("/sign-in", data={"name": "Ada", "password": PASSWORD})

    [session] = [value for value in answer.headers.get_list("set-cookie") if value.split("=")[0].endswith("desk")]
    secure = public.startswith("https")
    assert session.startswith("__Host-desk=" if secure else "desk=")
    assert ("Secure" in session) == secure
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(session.split("; "))


@pytest.mark.parametrize(
    ("given", "leads_to"),
    [
        ("/keys/publisher/a%2Fb", "./keys/publisher/a%2Fb"),
        ("https://evil.example/", "./https://evil.example/"),
        ("//evil.example/", "./evil.example/"),
        ("/\\evil.example", "./%5Cevil.example"),
        ("/a\r\nSet-Cookie: x=y", "./a%0D%0ASet-Cookie:%20x=y"),
    ],
)
def test_signing_in_leads_to_pages_of_this_server_only(
    password: str, browser: TestClient, given: str, leads_to: str
) -> None:
    answer = browser.post("/sign-in", data={"name": "Ada", "password": PASSWORD, "next": given})

    location = answer.headers["location"].replace("%0A", "%0D%0A").replace("%0D%0D", "%0D")
    assert location == leads_to


def test_a_page_that_needs_a_sign_in_comes_after_it(password: str, browser: TestClient) -> None:
    asked = browser.get("/?from=publisher%3A20")

    assert asked.headers["location"] == "./sign-in?next=%2F%3Ffrom%3Dpublisher%253A20"
    page = html.fromstring(browser.get("/sign-in?next=%2F%3Ffrom%3Dpublisher%253A20").text)
    assert page.xpath("string(//input[@name='next']/@value)") == "/?from=publisher%3A20"


def test_an_unencrypted_way_from_elsewhere_is_told_before_the_password_is_typed(
    password: str, visitor: Visitor
) -> None:
    assert "not encrypted" in visitor(address="203.0.113.7").get("/sign-in").text
    assert "not encrypted" not in visitor().get("/sign-in").text


# Forms of other sites


@pytest.mark.parametrize(
    "signs",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": HERE},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {},
    ],
)
def test_a_form_of_another_site_changes_nothing(password: str, visitor: Visitor, signs: dict[str, str]) -> None:
    browser = sign_in(visitor())
    del browser.headers["sec-fetch-site"]

    answer = browser.post("/sign-out", data={"out": "1"}, headers=signs)

    assert answer.status_code == 403
    assert "did not come from a page of the desk" in answer.text
    assert browser.get("/").status_code == 200


def test_a_browser_without_fetch_metadata_shows_its_origin(password: str, visitor: Visitor) -> None:
    browser = sign_in(visitor())
    del browser.headers["sec-fetch-site"]

    assert browser.post("/sign-out", data={"out": "1"}, headers={"origin": HERE}).status_code == 303


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"a=1&" * 600, "application/x-www-form-urlencoded", 413),
        (b"a=" + b"x" * 1_000_001, "application/x-www-form-urlencoded", 413),
        (b"name=%ff&password=x", "application/x-www-form-urlencoded", 400),
        ("name=ä".encode(), "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_body_that_is_not_our_form_is_refused(
    password: str, browser: TestClient, content: bytes, kind: str, status: int
) -> None:
    assert browser.post("/sign-in", content=content, headers={"content-type": kind}).status_code == status


def test_every_answer_of_the_desk_allows_its_own_scripts_styles_and_forms_only(
    password: str, browser: TestClient
) -> None:
    for answer in (browser.get("/"), browser.get("/sign-in"), browser.post("/sign-out", content=b"x")):
        policy = answer.headers["content-security-policy"]
        assert {"default-src 'none'", "script-src 'self'", "form-action 'self'", "frame-ancestors 'none'"} <= set(
            policy.split("; ")
        )
        assert "unsafe-inline" not in policy
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
