"""Every command of every page runs as printed in a fresh clone, but for those that a test cannot run anywhere."""

from __future__ import annotations

import pytest

from tests.night.house import House
from tests.pages.reader import Reader
from tests.pages.reading import Page, pages

#: Why a command may be left out, and how many are at most.
REASONS = {
    "needs a server with systemd, and root": 36,
    "needs a container engine": 3,
    "needs a cluster": 14,
    "takes minutes, and is run by CI": 11,
    "takes minutes, and is run by CI in its short form": 1,
    "needs a second machine, or a repository to pull from": 4,
    "needs a program or a service of yours": 19,
    "replaces the data of an installation": 5,  # tests/acceptance/test_backup.py runs these
    "needs a key that waits": 4,
}


def test_what_is_not_run_has_one_of_few_reasons() -> None:
    left_out = [reason for page in pages() for _, reason in page.not_run]

    assert {each: left_out.count(each) for each in left_out if left_out.count(each) > REASONS.get(each, 0)} == {}


def test_three_in_five_commands_are_run() -> None:
    run, left_out = (
        sum(map(len, each)) for each in zip(*((page.steps, page.not_run) for page in pages()), strict=True)
    )

    assert run / (run + left_out) > 0.6  # half of the others need systemd or a cluster


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if page.steps and not page.is_operations], ids=str)
def test_the_commands_of_a_page_run_as_printed(page: Page, house: House) -> None:
    Reader(house).read(page)
