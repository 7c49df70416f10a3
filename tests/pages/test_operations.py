"""The other pages of operations: every command runs as printed."""

from __future__ import annotations

import pytest

from tests.night.house import House
from tests.pages.reader import Reader
from tests.pages.reading import Page, pages

PAGES = [page for page in pages() if page.steps and page.is_operations and not page.situation]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_commands_of_a_page_run_as_printed(page: Page, house: House) -> None:
    Reader(house).read(page)
