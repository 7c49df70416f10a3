"""A real browser at a real installation: Debian's Chromium, on a phone and on a desk, in the light and in the dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import a_valkey
from tests.effects.client import EffectServer
from tests.harness import Install, patient

#: Chromium's own tests for accessibility: everything that WCAG 2.2 asks for at its first two levels.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PHONE, DESK = 390, 1280
PASSWORD = "correct horse battery"
NAMES = ("chromium", "chromium-browser", "google-chrome")

#: Milliseconds until a page has to show what is expected, by itself after a look at the server every five seconds.
SOON, AFTER_A_LOOK = 1000 * patient(5), 1000 * patient(20)

Open = Callable[..., "Tab"]


def chromium() -> str:
    """The path of Chromium. Where it is missing: skip at home, fail in CI."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        problem = "no Chromium is installed; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            raise FileNotFoundError(problem)
        pytest.skip(problem)
    return found


@dataclass
class Tab:
    """One page of a browser, and what went wrong in it."""

    page: Page
    context: BrowserContext
    url: str
    errors: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a path of the installation."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def check(self) -> None:
        """The page is accessible, as wide as the screen, and without an error."""
        found = Axe().run(self.page, options={"runOnly": RULES})
        assert not found.violations_count, f"{self.page.url}\n{found.generate_report()}"
        widths = self.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{self.page.url} is {widths[0]} px wide, and the screen {widths[1]} px"
        assert not self.errors, self.errors

    def sign_in(self, name: str = "Ada", password: str = PASSWORD) -> Page:
        """Sign in with the keyboard alone."""
        page = self.go("/")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill(password)
        page.keyboard.press("Enter")
        page.get_by_text("Signed in as").wait_for()
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one file: an event loop runs in this thread for as long as Playwright does, and no other may then."""
    path = chromium()
    expect.set_options(timeout=SOON)
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, effect_server: EffectServer) -> Iterator[Install]:
    """An installation with a password, whose web process and worker run, on a server of the module's own."""
    chromium()
    effect_server.clear()
    server = a_valkey()
    env = {"EFFECTS_URL": effect_server.base_url, "DESK_PASSWORD": PASSWORD}
    made = Install(
        tmp_path_factory.mktemp("house"), server.url, task_modules=("storyteller", "clerk", "doubter", "asker"), env=env
    )
    made.web()
    made.worker()
    yield made
    made.close()
    server.close()


@pytest.fixture
def open_tab(browser: Browser, house: Install) -> Iterator[Open]:
    """Open a tab of its own browser profile; at the end no tab may have had an error."""
    tabs: list[Tab] = []

    def tab(width: int = DESK, *, dark: bool = False, scripts: bool = True) -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light",
            java_script_enabled=scripts, is_mobile=width == PHONE, has_touch=width == PHONE,
        )  # fmt: skip
        context.set_default_timeout(1000 * patient(30))
        made = Tab(context.new_page(), context, house.web_url)
        made.page.on("console", lambda said: made.errors.append(said.text) if said.type == "error" else None)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        tabs.append(made)
        return made

    yield tab
    for each in tabs:
        each.context.close()
    assert [error for each in tabs for error in each.errors] == []
