"""The pages of operations that have a situation: one command shows what happened, and every command runs as printed."""

from __future__ import annotations

import pytest

from tests.night.house import House
from tests.night.judge import judge
from tests.night.situations import SITUATIONS
from tests.pages.reader import Reader
from tests.pages.reading import Page, pages

PAGES = [page for page in pages() if page.situation]


def test_every_situation_has_its_page() -> None:
    assert {page.situation: page.path.stem for page in PAGES} == {
        situation.name: situation.page for situation in SITUATIONS.values()
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_one_command_shows_the_situation_and_the_others_of_its_page_run(page: Page, house: House) -> None:
    reader = Reader(house)
    reader.prepare(page)

    judged = judge(house, SITUATIONS[page.situation])
    reader.type_commands(page)

    assert judged.commands == 1, judged.output
