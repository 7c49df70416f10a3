"""Every command of every page runs as printed in a fresh clone, but for those that a test cannot run anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.night.house import House
from tests.night.judge import judge
from tests.night.situations import SITUATIONS, Situation
from tests.pages.reader import Reader
from tests.pages.reading import Page, pages

PAGES = pages()
#: Why a command may be left out, and how many are at most.
REASONS = {
    "needs a server with systemd, and root": 36,
    "needs a container engine": 3,
    "takes minutes, and is run by CI": 10,
    "needs a second machine, or a repository to pull from": 2,
}


def test_what_is_not_run_has_one_of_few_reasons() -> None:
    left_out = [reason for page in PAGES for _, reason in page.not_run]

    assert {
        reason: left_out.count(reason) for reason in left_out if left_out.count(reason) > REASONS.get(reason, 0)
    } == {}


def test_most_commands_are_run() -> None:
    assert sum(len(page.steps) for page in PAGES) > 2 * sum(len(page.not_run) for page in PAGES)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("clone"))
    house.install()
    yield house
    house.close()


@pytest.fixture
def house(installed: House) -> House:
    installed.reset()
    return installed


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.steps], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_as_printed(page: Page, house: House) -> None:
    Reader(house).read(page)


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=lambda situation: situation.name)
def test_one_command_shows_what_happened_and_what_to_do(situation: Situation, house: House) -> None:
    situation.produce(house)

    judged = judge(house, situation)

    assert judged.commands == 1, judged.output
