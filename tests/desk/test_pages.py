"""The pages of agents, keys and calls, the schedule, the audit, the search and the words."""

from __future__ import annotations

import json
import re

import pytest
from lxml import html
from starlette.testclient import TestClient

import gatekeeper
import settings
import workers
from gatekeeper.policies.policy import Policies
from gatekeeper.policies.spec import TaskSpec, registered
from gatekeeper.run import pipeline
from state import health, host
from state.agents import autonomy
from state.agents.snapshot import snapshot
from state.processes import host_signs
from state.processes import hosts as processes
from state.redis import client
from state.redis.keys import Keys
from tasks import publisher
from tests.desk.conftest import Visitor, sign_in
from workers import decisions

POST = "---\nid: {id}\ntitle: {title}\npublish_at: 2026-01-01T09:00:00Z\n---\nText of {title}.\n"
KEY = "publish:feed:hello"


@pytest.fixture(autouse=True)
def tasks() -> None:
    workers.app.loader.import_default_modules()


@pytest.fixture
def published(browser: TestClient) -> str:
    """A post that the publisher published through the gate; returns its key."""
    folder = settings.current().content_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.md").write_text(POST.format(id="hello", title="Hello"))
    assert publisher.publish("hello", "feed")["ok"]
    return KEY


def text_of(browser: TestClient, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, answer.text
    assert "style=" not in answer.text
    assert "<script>" not in answer.text
    words = " ".join(" ".join(html.fromstring(answer.text).find(".//main").itertext()).split())
    return re.sub(r" (?=[),.:;])|(?<=\() ", "", words)


def said(browser: TestClient, path: str, **fields: str) -> str:
    """Send a form; return where it leads, and what the page there says first."""
    answer = browser.post(path, data=fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


# Agents


def test_the_page_of_an_agent_says_how_it_is_and_what_it_did(browser: TestClient, published: str) -> None:
    text = text_of(browser, "/agents/publisher")

    assert "No worker runs" in text
    assert "cap of publish: 30/day · 1 of 30 used" in text
    assert "rate of publish for feed: 10/hour · 9 of 10 free now" in text
    assert "breaker of publish for feed: opens after 3 failures in a row · closed" in text
    assert f"done {published}" in text
    assert "Every 30 minutes" in text
    assert '"total_published": 1' in text


def test_a_budget_that_is_used_up_says_when_it_has_room_again(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def muse() -> None:
        gatekeeper.spend(1200, "own")

    muse.__module__ = publisher.__name__
    budgets = (gatekeeper.Budget("1000 tokens/day"),)
    policies = Policies(None, (), (), None, None, "2m", None, None, "10s", "7d", budgets)
    spec = TaskSpec(muse, policies)
    monkeypatch.setitem(registered(), spec.name, spec)
    assert pipeline.run(spec, (), {}, call_id="muse1", origin="test")["ok"]

    told = "1,200 of 1,000 tokens used, 0 left"
    assert f"budget of muse: 1000 tokens/day · {told}; room again" in text_of(browser, "/agents/publisher")
    assert f"budget 1000 tokens/day of muse: {told}" in text_of(browser, "/")


def test_pausing_and_resuming_an_agent_asks_why_and_is_in_the_audit(browser: TestClient) -> None:
    assert browser.post("/agents/publisher/pause", data={"why": " "}).status_code == 422
    assert not snapshot("publisher").head["paused"]

    assert said(browser, "/agents/publisher/pause", why="strange posts").endswith("/agents/publisher")
    assert "strange posts" in text_of(browser, "/agents/publisher")
    said(browser, "/agents/publisher/resume", why="they are fine")

    assert not snapshot("publisher").head["paused"]
    told = text_of(browser, "/audit")
    assert re.search(r"resume publisher: they are fine.*pause publisher: strange posts", told)


def test_the_autonomy_of_an_agent_is_chosen_with_a_reason(browser: TestClient) -> None:
    assert browser.post("/agents/publisher/autonomy", data={"mode": "fly", "why": "x"}).status_code == 422

    said(browser, "/agents/publisher/autonomy", mode="ask", why="a new model")

    assert autonomy.mode("publisher") == "ask"
    assert "Autonomy: ask" in text_of(browser, "/agents/publisher")
    assert "autonomy publisher: a new model" in text_of(browser, "/audit?what=autonomy")


def test_stop_all_pauses_every_agent(browser: TestClient) -> None:
    said(browser, "/stop-all", why="looking")

    assert all(snapshot(name).head["paused"] for name in ("publisher", "writer", "monitor"))


def test_an_agent_that_does_not_exist_leads_on_to_those_that_do(browser: TestClient) -> None:
    text = text_of(browser, "/agents/<b>nobody", 404)

    assert "No agent is called <b>nobody" in text
    assert "publisher" in text


# Keys and calls


def test_the_page_of_a_key_tells_its_story_with_both_stores(browser: TestClient, published: str) -> None:
    text = text_of(browser, f"/keys/publisher/{published}")

    assert "Posted? Yes" in text
    assert "Attempt 1 done" in text
    assert "Text of Hello." in text
    assert re.search(r"digest [0-9a-f]{12}", text)
    assert "Redis says done The journal says done" in text
    assert "intent" in text


def test_a_key_with_odd_letters_has_a_page(browser: TestClient) -> None:
    odd = "a/b?c#d é\u202e<script>"
    client.client().hset(Keys("publisher").key(odd), mapping={"state": "rejected", "task": "x"})

    answer = browser.get("/keys/publisher/a%2Fb%3Fc%23d%20%C3%A9%E2%80%AE%3Cscript%3E")

    assert answer.status_code == 200
    assert "a/b?c#d é\\u202e&lt;script&gt;" in answer.text


@pytest.mark.parametrize("path", ["/keys/publisher/nope", "/keys/nobody/nope", "/calls/nope"])
def test_what_is_not_known_is_404_and_leads_to_the_search(browser: TestClient, path: str) -> None:
    assert "Search for it" in text_of(browser, path, 404)


# Schedule


def test_the_schedule_shows_each_entry_in_words(browser: TestClient) -> None:
    text = text_of(browser, "/schedule")

    assert "At 06:00 every day (UTC; 0 6 * * *), by analyst" in text
    assert "Of the ticks that were missed, the newest runs." in text
    assert "At 06:00" not in text_of(browser, "/schedule?agent=publisher")


@pytest.mark.parametrize(
    "query", ["from=x&to=y", "from=2026-01-02T00:00&to=2026-01-01T00:00", "from=2020-01-01&to=2026-01-01"]
)
def test_a_range_that_makes_no_sense_says_why(browser: TestClient, query: str) -> None:
    assert browser.get(f"/schedule/publish/backfill?{query}").status_code == 422


# Audit


def test_the_audit_is_filtered_and_read_page_by_page(browser: TestClient) -> None:
    for number in range(60):
        said(browser, "/agents/writer/pause", why=f"round {number}")
        said(browser, "/agents/writer/resume", why=f"again {number}")

    page = browser.get("/audit?what=resume")
    assert "round" not in page.text
    assert "again 59" in page.text
    assert "again 9:" not in page.text
    older = re.search(r'href="(\?[^"]*before[^"]*)"', page.text)
    assert older
    assert "again 9" in browser.get(f"/audit{html.fromstring(f'<a href={older[1]!r}>').get('href')}").text
    assert "No decision fits" in text_of(browser, "/audit?door=mcp")
    assert browser.get("/audit?before=x").status_code == 400


# Search


def test_an_exact_name_leads_to_its_page(browser: TestClient, published: str) -> None:
    assert (
        browser.get("/search", params={"q": published})
        .headers["location"]
        .endswith("keys/publisher/publish%3Afeed%3Ahello")
    )
    assert browser.get("/search?q=publisher").headers["location"].endswith("agents/publisher")


def test_a_post_and_the_words_of_an_error_are_found(browser: TestClient, published: str) -> None:
    assert not publisher.publish("nowhere", "feed")["ok"]

    assert published in text_of(browser, "/search?q=hello")
    assert "publish:feed:nowhere" in text_of(browser, "/search?q=NO+POST")
    assert "Nothing that is held" in text_of(browser, "/search?q=hello&state=held")
    assert "Nothing" in text_of(browser, "/search?q=%3Cscript%3E")


def test_an_empty_search_says_what_to_write(browser: TestClient) -> None:
    assert "Write a key" in text_of(browser, "/search")


# Words


def test_each_word_of_the_glossary_is_explained(browser: TestClient) -> None:
    text = text_of(browser, "/words")

    for word in ("deferral", "breaker", "look-up", "epoch", "held waits for a person"):
        assert word in text
    sources = [(settings.ROOT / "docs" / name).read_text() for name in ("glossary.md", "desk-words.md")]
    rows = re.findall(r"^\| (?!word|state|-)", "\n".join(sources), re.MULTILINE)
    assert len(html.fromstring(browser.get("/words").text).findall(".//dl/dt")) == len(rows)


@pytest.mark.parametrize("name", ["glossary.md", "desk-words.md"])
def test_the_desk_explains_the_words_of_the_documentation(name: str) -> None:
    """A package has no docs/, so that the desk has copies. Copy the page again after a change."""
    assert (settings.ROOT / "web" / "desk" / name).read_text() == (settings.ROOT / "docs" / name).read_text()


# All


PAGES = ("/agents/publisher", "/schedule", "/audit", "/search?q=x", "/words", "/calls/x", "/keys/a/b")


@pytest.mark.parametrize("path", PAGES)
def test_nobody_sees_a_page_without_signing_in(visitor: Visitor, password: str, path: str) -> None:
    assert visitor().get(path).headers["location"].partition("?")[0].endswith("sign-in")
    assert visitor(address="203.0.113.7").post("/stop-all", data={"why": "x"}).status_code in {401, 303}
    assert sign_in(visitor()).get(path).status_code in {200, 404}


def test_a_key_in_doubt_is_decided_on_its_page(browser: TestClient, published: str) -> None:
    n = Keys("publisher")
    client.client().hset(n.key(published), mapping={"state": "unknown", "why": "no answer", "since_ms": 1})
    held = {"key": published, "state": "unknown", "since": 1, "why": "no answer"}
    client.client().hset(n.held, published, json.dumps(held))

    page = browser.get(f"/keys/publisher/{published}")

    assert "Did this happen?" in page.text
    [form] = [each for each in html.fromstring(page.text).forms if each.action.endswith("decisions")]
    assert form.fields["next"] == f"/keys/publisher/{published}"


# Hosts


def test_the_page_of_the_hosts_says_how_each_is_and_what_to_do_about_a_silent_one(browser: TestClient) -> None:
    assert "No host gave a sign of life yet" in text_of(browser, "/hosts")

    host_signs.HostSigns("web", "1.0").report()
    seen = round(health.time_ms()) - 120_000
    sign = {
        "name": "far.abcdef",
        "boot": "b",
        "seen_ms": seen,
        "kinds": {"worker": {"seen_ms": seen, "version": "0.9"}},
    }
    client.client().hset(host_signs.key(), "abcdef", json.dumps(sign))

    text = text_of(browser, "/hosts")
    assert f"{host.this_host()} alive last sign of life" in text
    assert "this page comes from here Holds nothing, runs web." in text
    assert "far.abcdef silent last sign of life" in text
    assert "host-gone far.abcdef" in text
    assert [form.action for form in html.fromstring(browser.get("/hosts").text).forms if "gone" in form.action] == [
        "./hosts/far.abcdef/gone"
    ]


def test_a_person_says_on_the_page_why_a_host_never_comes_back(browser: TestClient) -> None:
    signs = {"far.abcdef": 1, "near.fedcba": round(health.time_ms())}
    for name, seen in signs.items():
        sign = {"name": name, "boot": "b", "seen_ms": seen, "kinds": {}}
        client.client().hset(host_signs.key(), name.partition(".")[2], json.dumps(sign))

    assert browser.post("/hosts/far.abcdef/gone", data={"why": " "}).status_code == 422
    assert browser.post("/hosts/nowhere/gone", data={"why": "it burned down"}).status_code == 404
    alive = browser.post("/hosts/near.fedcba/gone", data={"why": "it burned down"})
    assert alive.status_code == 409
    assert "gave a sign of life" in alive.text
    assert processes.gone() == {}

    assert said(browser, "/hosts/far.abcdef/gone", why="it burned down").endswith("/hosts")

    assert (processes.gone()["abcdef"].why, processes.gone()["abcdef"].door) == ("it burned down", "desk")
    told = text_of(browser, "/hosts")
    assert "far.abcdef is gone, and held 0 keys." in told
    assert "it burned down" in told


def test_a_decision_about_a_host_leads_from_the_audit_to_the_hosts(browser: TestClient) -> None:
    client.client().hset(
        host_signs.key(), "abcdef", json.dumps({"name": "far.abcdef", "boot": "b", "seen_ms": 1, "kinds": {}})
    )
    decisions.host_gone("far", decisions.By("ada", "desk", "it burned down"))

    assert "host-gone far.abcdef: it burned down" in text_of(browser, "/audit?what=host-gone")
    assert 'href="./hosts"' in browser.get("/audit?what=host-gone").text
    assert "gone, ada said at" in text_of(browser, "/hosts")
