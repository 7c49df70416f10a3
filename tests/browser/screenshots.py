"""`python -m tests.browser.screenshots`: the pictures of docs/desk.md, made from a running installation."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.browser.conftest import NAMES, PASSWORD
from tests.effects.client import EffectServer
from tests.harness import Install, Valkey, until

TO = Path(__file__).resolve().parents[2] / "docs" / "desk"
#: Bytes of one picture.
MAX_SIZE = 150_000
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1100, height=860)

DRAFT = """---
id: digest-2026-11-28
title: What people learned about running agents this week
publish_at: 2026-11-28T09:00:00Z
tags: [digest]
made_by: rules
sources: [https://example.org/retries, https://example.org/approvals]
---
Three teams wrote about retries that doubled an effect, and what they changed.

- A key per effect, kept for ever.
- A look-up before anything is sent again.
"""


def main() -> None:
    """Make every picture."""
    TO.mkdir(exist_ok=True)
    path = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        effects, server = EffectServer(Path(folder)).start(), Valkey().start()
        env = {"EFFECTS_URL": effects.base_url, "DESK_PASSWORD": PASSWORD}
        house = Install(Path(folder) / "house", server.url, task_modules=("storyteller", "asker"), env=env)
        try:
            link = _furnish(house, effects)
            browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
            for name, (size, dark, look) in PICTURES.items():
                context = browser.new_context(
                    viewport=size, color_scheme="dark" if dark else "light", base_url=house.web_url
                )
                page = context.new_page()
                look(page, link)
                _save(page, name)
                context.close()
            browser.close()
        finally:
            house.close()
            server.close()
            effects.stop()


def _furnish(house: Install, effects: EffectServer) -> str:
    """Let one of each kind wait, and return the link of an alert."""
    (house.content_dir / "drafts").mkdir()
    (house.content_dir / "drafts" / "digest-2026-11-28.md").write_text(DRAFT)
    house.web()
    house.worker()
    house.gate("autonomy", "asker", "ask", "--why", "the letters are new")
    effects.mode("apply_then_reset", "story:once-upon-a-time")
    house.call("storyteller.publish", post_id="once-upon-a-time")
    house.call("storyteller.publish", post_id="a-good-one")
    house.call("asker.write", name="ada")
    until(lambda: len(house.gate("held")) == 2, 30, "one key in doubt and one approval")
    house.gate("pause", "storyteller", "--why", "until it is known what went out")
    code = """
        from state import decision_link
        from state.ledger import Ledger
        waiting = Ledger().waiting_one("storyteller", "story:once-upon-a-time")
        print(decision_link.decision_link("storyteller", waiting.key, waiting.version))
    """
    return house.python(code).split()[-1]


def _signed_in(page: Page) -> None:
    def asks() -> bool:
        page.goto("/")  # 503 at first, on a crowded machine
        return page.get_by_label("Your name").is_visible()

    until(asks, 20, "the desk to ask for the password")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _desk(page: Page, _link: str) -> None:
    _signed_in(page)


def _link(page: Page, link: str) -> None:
    page.goto(link)


def _edit(page: Page, _link: str) -> None:
    _signed_in(page)
    page.get_by_role("link", name="Edit and approve").last.click()


def _agents(page: Page, _link: str) -> None:
    _signed_in(page)
    page.locator("#agents").scroll_into_view_if_needed()
    page.locator("#agents").evaluate("each => each.scrollIntoView()")


def _key(page: Page, _link: str) -> None:
    _signed_in(page)
    page.goto("/keys/storyteller/story%3Aa-good-one")


Look = Callable[[Page, str], None]
PICTURES: dict[str, tuple[ViewportSize, bool, Look]] = {
    "desk": (DESK, False, _desk),
    "desk-phone": (PHONE, True, _desk),
    "link-phone": (PHONE, False, _link),
    "draft": (DESK, True, _edit),
    "agents": (DESK, False, _agents),
    "key": (DESK, False, _key),
}


def _save(page: Page, name: str) -> None:
    file = TO / f"{name}.png"
    size = len(page.screenshot(path=file))
    print(json.dumps({"picture": str(file.name), "bytes": size}))  # noqa: T201 - its report
    if size > MAX_SIZE:
        raise SystemExit(f"{file.name} has {size:,} bytes, and {MAX_SIZE:,} are allowed; show less of the page")


if __name__ == "__main__":
    main()
