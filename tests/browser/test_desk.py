"""A person at the desk, in a real browser: everything is reached by eye and by keyboard, on a phone and in the dark."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from state.redis.keys import Keys
from tests.browser.conftest import AFTER_A_LOOK, DESK, PHONE, Open, Tab
from tests.effects.client import EffectServer
from tests.harness import Install, until

pytestmark = pytest.mark.slow

AGENT = "storyteller"
LOOKS = [(PHONE, False), (PHONE, True), (DESK, False), (DESK, True)]
NASTY = "<script>document.title = 'owned'</script> \u202egnp.exe\u202c شكرا" + "W" * 300


def in_doubt(house: Install, effects: EffectServer, post_id: str) -> str:
    """A story that was sent and whose answer was lost; return its key."""
    key = f"story:{post_id}"
    effects.mode("apply_then_reset", key)
    house.call("storyteller.publish", post_id=post_id)
    until(lambda: state(house, key) == "unknown", 20, f"{key} to be in doubt")
    return key


def state(house: Install, key: str) -> str | None:
    found: str | None = house._redis.hget(Keys(AGENT).key(key), "state")
    return found


def write_draft(house: Install, name: str, title: str = "What agents did this week", body: str = "Some text.") -> None:
    folder = house.content_dir / "drafts"
    folder.mkdir(exist_ok=True)
    header = {"id": name, "title": title, "publish_at": "2026-11-01T09:00:00Z", "made_by": "rules"}
    fields = "\n".join(f"{field}: {json.dumps(value)}" for field, value in header.items())
    (folder / f"{name}.md").write_text(f"---\n{fields}\n---\n{body}\n")


def card(page: Page, key: str) -> Any:
    return page.get_by_role("article").filter(has_text=key)


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_signing_in_leads_to_the_desk(open_tab: Open, width: int, dark: bool) -> None:
    tab = open_tab(width, dark=dark)
    tab.go("/?kind=draft")
    tab.check()

    tab.sign_in()

    tab.check()


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_of_a_decision_is_readable_by_everybody(
    open_tab: Open, house: Install, effects: EffectServer, width: int, dark: bool
) -> None:
    name = f"readable-{width}-{dark}".lower()
    key = in_doubt(house, effects, name)
    write_draft(house, name, NASTY, f"{NASTY}\n\n" + "word " * 2000)
    tab = open_tab(width, dark=dark)
    page = tab.sign_in()

    tab.check()
    for summary in card(page, key).locator("summary").all():
        summary.click()
    tab.check()
    tab.go(f"/drafts/{name}")
    tab.check()
    assert page.title() != "owned"


def test_a_person_resolves_an_effect_in_doubt(open_tab: Open, house: Install, effects: EffectServer) -> None:
    key = in_doubt(house, effects, "resolved")
    page = open_tab(PHONE).sign_in()

    found = card(page, key)
    found.get_by_label("Why").fill("I see it there")
    found.get_by_role("button", name="It happened").click()

    expect(page.locator(".said")).to_contain_text("It is done now")
    expect(card(page, key)).to_have_count(0)
    assert state(house, key) == "done"
    assert effects.count(key) == 1


def test_a_button_without_a_reason_and_enter_in_the_reason_decide_nothing(
    open_tab: Open, house: Install, effects: EffectServer
) -> None:
    key = in_doubt(house, effects, "hasty")
    page = open_tab().sign_in()

    card(page, key).get_by_role("button", name="It did not").click()
    card(page, key).get_by_label("Why").fill("not there")
    page.keyboard.press("Enter")

    page.wait_for_timeout(300)
    assert state(house, key) == "unknown"
    expect(card(page, key).get_by_label("Why")).to_have_value("not there")


def test_the_keyboard_alone_decides(open_tab: Open, house: Install, effects: EffectServer) -> None:
    key = in_doubt(house, effects, "keys-only")
    page = open_tab().sign_in()

    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    card(page, key).get_by_label("Why").focus()
    page.keyboard.type("too old")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(card(page, key).get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator(".said")).to_contain_text("It is cancelled now")


def test_a_new_card_comes_by_itself_and_what_is_open_and_typed_stays(
    open_tab: Open, house: Install, effects: EffectServer
) -> None:
    first = in_doubt(house, effects, "refresh-one")
    page = open_tab().sign_in()
    card(page, first).locator("summary").first.click()
    page.locator("#content").focus()

    second = in_doubt(house, effects, "refresh-two")
    expect(card(page, second)).to_have_count(1, timeout=AFTER_A_LOOK)
    expect(card(page, first).locator("details").first).to_have_attribute("open", "")

    card(page, first).get_by_label("Why").fill("half a rea")
    third = in_doubt(house, effects, "refresh-three")
    page.wait_for_timeout(7_000)
    expect(card(page, first).get_by_label("Why")).to_have_value("half a rea")
    expect(card(page, third)).to_have_count(0)
    card(page, first).get_by_label("Why").fill("")
    page.locator("#content").focus()
    expect(card(page, third)).to_have_count(1, timeout=AFTER_A_LOOK)


def test_a_second_tab_reads_who_was_first(open_tab: Open, house: Install, effects: EffectServer) -> None:
    key = in_doubt(house, effects, "twice")
    first, second = open_tab(), open_tab(PHONE)
    pages = first.sign_in("Ada"), second.sign_in("Bob")
    for page in pages:
        card(page, key).get_by_label("Why").fill("looked")
    card(pages[0], key).get_by_role("button", name="It happened").click()
    expect(pages[0].locator(".said")).to_be_visible()

    card(pages[1], key).get_by_role("button", name="It did not").click()

    expect(pages[1].get_by_role("heading", level=1)).to_have_text("It was not as you saw it any more")
    expect(pages[1].locator("main")).to_contain_text("Ada said applied")
    second.errors.clear()  # the browser reports the status 409
    second.check()
    second.errors.clear()


def test_a_person_edits_a_draft_and_approves_it(open_tab: Open, house: Install) -> None:
    write_draft(house, "digest-edit")
    page = open_tab(PHONE).sign_in()

    card(page, "What agents did this week").filter(has=page.locator("[href$='digest-edit#edit']")).get_by_role(
        "link", name="Edit and approve"
    ).click()
    page.get_by_label("Title").fill("What agents did, corrected")
    page.get_by_label("Text, in Markdown").fill("Another text.")
    page.get_by_label("Why").first.fill("clearer")
    page.get_by_role("button", name="Approve as it is here").click()

    expect(page.locator(".said")).to_contain_text("digest-edit is approved")
    published = (house.content_dir / "digest-edit.md").read_text()
    assert "What agents did, corrected" in published
    assert "Another text." in published


def test_several_drafts_are_approved_together(open_tab: Open, house: Install) -> None:
    for name in ("many-one", "many-two"):
        write_draft(house, name, f"Draft {name}")
    page = open_tab().sign_in()
    for name in ("many-one", "many-two"):
        card(page, f"Draft {name}").get_by_label("Decide with others").check()
    box = page.locator("form#many-drafts")
    box.get_by_label("Why").fill("read both")
    box.get_by_role("button", name="Approve them").click()

    expect(page.locator(".said")).to_contain_text("Two drafts approved")
    assert (house.content_dir / "many-two.md").exists()


def test_a_person_edits_what_an_agent_asks_to_send(open_tab: Open, house: Install, effects: EffectServer) -> None:
    house.gate("autonomy", "asker", "ask", "--why", "the letters are new")
    house.call("asker.write", name="ada")
    until(lambda: house._redis.hget(Keys("asker").key("letter:ada"), "state") == "held", 20, "the agent to ask")
    tab = open_tab(PHONE)
    page = tab.sign_in()
    card(page, "letter:ada").get_by_role("link", name="Edit and approve").click()
    tab.check()

    form = page.locator("form#edit")
    form.get_by_label("text").fill("Dear Ada")
    form.get_by_label("Why").fill("warmer")
    form.get_by_role("button", name="Approve as it is here").click()

    expect(page.locator(".said")).to_contain_text("your text is sent instead")
    until(lambda: effects.count("letter:ada") == 1, 20, "the letter to be sent")
    assert "Dear Ada" in str([row["body"] for row in effects.rows() if row["key"] == "letter:ada"])


def link_to(house: Install, key: str) -> str:
    code = f"""
        from state import decision_link
        from state.ledger import Ledger
        waiting = Ledger().waiting_one({AGENT!r}, {key!r})
        print(decision_link.decision_link({AGENT!r}, {key!r}, waiting.version))
    """
    return house.python(code).split()[-1].removeprefix(house.web_url)


def decide_by_link(tab: Tab, path: str) -> Page:
    page = tab.go(path)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Why").fill("it is there")
    page.get_by_role("button", name="It happened").click()
    return page


def test_the_link_of_an_alert_decides_on_a_phone_without_signing_in(
    open_tab: Open, house: Install, effects: EffectServer
) -> None:
    key = in_doubt(house, effects, "by-link")
    path = link_to(house, key)
    tab = open_tab(PHONE, dark=True)
    tab.go(path)
    tab.check()
    assert state(house, key) == "unknown"

    page = decide_by_link(tab, path)

    expect(page.locator(".said")).to_contain_text("It is done now")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing to decide any more")
    tab.check()
    assert state(house, key) == "done"


def test_everything_works_without_scripts(open_tab: Open, house: Install, effects: EffectServer) -> None:
    by_hand, by_link = in_doubt(house, effects, "no-script"), in_doubt(house, effects, "no-script-link")
    tab = open_tab(PHONE, scripts=False)
    decide_by_link(tab, link_to(house, by_link))
    page = tab.sign_in()

    card(page, by_hand).get_by_label("Why").fill("gone")
    card(page, by_hand).get_by_role("button", name="Cancel").click()

    expect(page.locator(".said")).to_contain_text("It is cancelled now")
    assert [state(house, key) for key in (by_hand, by_link)] == ["cancelled", "done"]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
