"""A person is woken, sees it in one look, and decides with one tap: in a fresh clone, by what arrives on a phone alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from lxml import html

from tests.harness import patient
from tests.harness.polling import until
from tests.night.house import GATE, House
from tests.providers.server import Hold, says

pytestmark = pytest.mark.slow

KEY = "publish:mastodon:post-1"
#: What nobody types at night: the link of the alert is enough.
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A fresh clone whose alerts go to a receiver on this machine; nothing runs yet."""
    made = House(tmp_path_factory.mktemp("night"))
    made.install()
    yield made
    made.close()


class Phone:
    """A browser without JavaScript, cookies or a sign-in, which opens one link."""

    def __init__(self, link: str) -> None:
        self.link = urlsplit(link)
        self.site = f"{self.link.scheme}://{self.link.netloc}"

    def open(self) -> tuple[int, str]:
        return self._ask("GET")

    def press(self, page: str, button: str, **typed: str) -> tuple[int, str]:
        """Fill in the form that has this button, press it, and answer what comes."""
        [pressed] = [
            each
            for each in html.fromstring(page).xpath("//form//button")
            if " ".join(each.text_content().split()) == button
        ]
        [form] = pressed.xpath("ancestor::form")
        assert form.get("method") == "post"
        hidden = {each.get("name"): each.get("value") for each in form.xpath(".//input[@type='hidden']")}
        asked = {each.get("name") for each in form.xpath(".//input[@required]")}
        assert asked == typed.keys()
        return self._ask("POST", hidden | typed | {pressed.get("name"): pressed.get("value")}, form.get("action"))

    def _ask(self, method: str, fields: dict[str, str] | None = None, action: str | None = None) -> tuple[int, str]:
        headers = {"Accept": "text/html", "Origin": self.site} if fields else {"Accept": "text/html"}
        if fields:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        assert action in {None, self.link.path, ""} or str(action) in self.link.path, action
        connection = HTTPConnection(str(self.link.hostname), self.link.port, timeout=patient(30))
        try:
            connection.request(method, self.link.path, urlencode(fields) if fields else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def json_of(house: House, command: str) -> Any:
    done = house.run(f"{GATE} {command} --json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_the_worker_in_mid_publish(house: House) -> None:
    """The provider publishes and takes its time to say so; the worker dies meanwhile, and then no look-up works."""
    house.posts(1, "mastodon")
    house.use_mastodon()
    house.env["DESK_PASSWORD"] = PASSWORD
    slow = Hold(applied=True)
    house.mastodon.will(slow)
    house.up()
    until(slow.arrived.is_set, 60, "the post to arrive at the provider")
    house.mastodon.refuses["/statuses"] = says(500)
    workers = [each for each in house.processes("celery") if " worker " in f" {' '.join(each.cmdline())} "]
    assert workers
    for worker in workers:
        worker.kill()
    slow.gone.set()


def test_a_worker_killed_in_mid_publish_wakes_a_person_who_ends_it_with_one_tap(house: House) -> None:
    kill_the_worker_in_mid_publish(house)

    alert = house.phone.wait_for(f"{KEY} is in doubt", 120)
    [link] = [line.removeprefix("Page: ") for line in alert["message"].splitlines() if line.startswith("Page: ")]
    phone = Phone(link)
    status, page = phone.open()
    assert status == 200
    assert "Did this happen?" in page
    assert "This is post-1, which says one thing." in page
    assert json_of(house, f"explain {KEY}")["state"] == "unknown"  # to open a page decides nothing

    status, _ = phone.press(page, "It happened", name="Ada", why="I see it in my timeline")

    assert status == 303, house._up[-1].output[-6000:]
    assert json_of(house, f"explain {KEY}")["state"] == "done"
    [entry] = [each for each in json_of(house, "audit") if each["subject"] == KEY]
    assert (entry["by"], entry["door"], entry["what"]) == ("Ada", "link", "applied")
    assert entry["why"] == "I see it in my timeline"
    status, over = phone.press(page, "It did not", name="Eve", why="a second tap")
    assert status == 410
    assert "Ada" in over
    house.phone.wait_for(f"Over: {KEY} is in doubt", 60)
    assert len(house.mastodon.texts) == 1
    assert len(house.phone.told(KEY)) == 2
