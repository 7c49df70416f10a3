"""One clone per file of tests, installed once, and as fresh as after `git clone` for each page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.night.house import House


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
