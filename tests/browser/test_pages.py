"""The pages of agents, keys and the schedule, in a real browser: a person watches, pauses, runs, backfills and searches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AFTER_A_LOOK, DESK, PHONE, Open
from tests.harness import Install, until

pytestmark = pytest.mark.slow

LOOKS = [(PHONE, True), (DESK, False)]
AGENT = "storyteller"


def told(house: Install, post_id: str) -> str:
    """A story that was told; return its key."""
    house.call("storyteller.publish", post_id=post_id)
    key = f"story:{post_id}"
    until(lambda: house._redis.hget(f"gate:{{{AGENT}}}:key:{key}", "state") == "done", 20, f"{key} to be done")
    return key


def unfold(page: Page, summary: str, inside: Any = None) -> Any:
    """Open the details with this summary; return them."""
    found = (inside or page).locator("details").filter(has=page.get_by_text(summary, exact=True))
    found.locator("summary").first.click()
    return found


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_is_readable_by_everybody(open_tab: Open, house: Install, width: int, dark: bool) -> None:
    key = told(house, f"read-{width}")
    tab = open_tab(width, dark=dark)
    tab.sign_in()

    for path in (
        "/", f"/agents/{AGENT}", "/agents/publisher", f"/keys/{AGENT}/{key}", "/schedule", "/incidents", "/audit",
        f"/search?q=read-{width}&state=done", "/search?q=nothing-like-it", "/words",
        "/schedule/monitor/backfill?from=2026-01-01T00:00&to=2026-01-01T03:00",
    ):  # fmt: skip
        page = tab.go(path)
        for each in page.locator("details").all():
            each.evaluate("details => { details.open = true; }")
        tab.check()


def test_a_person_watches_an_agent_run(open_tab: Open, house: Install) -> None:
    tab = open_tab()
    tab.sign_in()
    page = tab.go(f"/agents/{AGENT}")
    expect(page.get_by_role("link", name="story:watched")).to_have_count(0)

    told(house, "watched")

    expect(page.get_by_role("link", name="story:watched").first).to_be_visible(timeout=AFTER_A_LOOK)


def test_a_person_pauses_and_resumes_an_agent(open_tab: Open, house: Install) -> None:
    tab = open_tab(PHONE)
    tab.sign_in()
    page = tab.go("/agents/clerk")

    form = unfold(page, "Pause")
    form.get_by_label("Why").fill("strange letters")
    form.get_by_role("button", name="Pause clerk").click()
    expect(page.get_by_text("clerk is paused: nothing of it starts")).to_be_visible()
    assert house.gate("status", "clerk")[0]["pause"]["why"] == "strange letters"

    page.get_by_label("Why").first.fill("they are fine")
    page.get_by_role("button", name="Resume clerk").click()
    expect(page.get_by_text("clerk runs again.")).to_be_visible()
    page = tab.go("/audit?agent=clerk")
    expect(page.get_by_role("listitem").filter(has_text="they are fine")).to_contain_text("Ada")


def test_run_now_leads_to_the_call_and_its_end(open_tab: Open, house: Install) -> None:
    tab = open_tab()
    tab.sign_in()
    page = tab.go("/schedule?agent=monitor")

    form = unfold(page, "Run now")
    form.get_by_label("Why").fill("to see it work")
    form.get_by_role("button", name="Run monitor now").click()

    expect(page.get_by_text("monitor was started; this is its call.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done", timeout=AFTER_A_LOOK)


def test_a_backfill_shows_what_it_would_start_first(open_tab: Open, house: Install) -> None:
    tab = open_tab(PHONE)
    tab.sign_in()
    page = tab.go("/schedule?agent=analyst")

    form = unfold(page, "Backfill")
    today = datetime.now(UTC)
    for field, days in (("From", 3), ("To", 1)):  # whole days, wherever today's tick is
        form.get_by_label(field).fill(f"{today - timedelta(days):%Y-%m-%d}T12:00")
    form.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("would start")).to_have_count(2)
    tab.check()

    page.get_by_label("Why").fill("the weekend")
    page.get_by_role("button", name="Start 2 ticks").click()
    expect(page.get_by_text("analyse: started 2 of 2 ticks.")).to_be_visible()


def test_a_search_finds_parts_and_leads_to_an_exact_key(open_tab: Open, house: Install) -> None:
    key = told(house, "needle-in-the-hay")
    tab = open_tab()
    page = tab.sign_in()

    page.get_by_role("searchbox").fill("needle")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=key)).to_be_visible()
    page.get_by_role("searchbox").fill(key)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text(key)
    expect(page.get_by_text("The journal says")).to_be_visible()
