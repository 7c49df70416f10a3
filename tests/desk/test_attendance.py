"""Who looks at the desk is known to the alerts: a page that is opened counts, one that refreshes itself does not."""

from __future__ import annotations

import getpass

import pytest
from starlette.testclient import TestClient

from state.agents import attention
from tests.desk.conftest import Visitor
from tests.desk.shelf import Shelf
from tests.desk.test_by_link import link_to
from web.desk import attendance


@pytest.fixture(autouse=True)
def _nobody_looked() -> None:
    attendance._noted.clear()


def test_a_person_who_opens_a_page_looked(browser: TestClient) -> None:
    browser.get("/")

    look = attention.last_looked()
    assert look
    assert look.by == getpass.getuser()


def test_a_page_that_refreshes_itself_is_nobody_looking(browser: TestClient) -> None:
    browser.get("/", headers={"x-desk-refresh": "1"})

    assert attention.last_looked() is None


def test_a_link_that_a_mail_program_opens_is_nobody_looking_and_its_decision_is(
    password: str, visitor: Visitor, shelf: Shelf
) -> None:
    phone, path = visitor(address="203.0.113.7"), link_to(shelf.in_doubt())
    phone.get(path)
    assert attention.last_looked() is None

    phone.post(path, data={"verb": "applied", "why": "I see it", "name": "Ada"})

    look = attention.last_looked()
    assert look
    assert look.by == "Ada"
