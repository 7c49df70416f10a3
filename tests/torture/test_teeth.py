"""Each tooth must fit the product as it is now; whether it bites is for `make teeth` to say."""

from __future__ import annotations

import compileall
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.install import ROOT
from tests.torture.build import Build, NoMatch
from tests.torture.scenario import chosen
from tests.torture.teeth import TEETH
from tests.torture.tooth import Tooth

pytestmark = pytest.mark.slow


@pytest.fixture
def build() -> Iterator[Build]:
    with Build(ROOT, "test") as made:
        yield made


@pytest.mark.parametrize("tooth", TEETH, ids=lambda tooth: tooth.name)
def test_a_defence_can_be_taken_out_of_the_product(tooth: Tooth) -> None:
    with tooth.build(ROOT) as made:
        changed = {change.file for change in tooth.changes}

        assert all((made.folder / file).read_text() != (ROOT / file).read_text() for file in changed)
        assert all(compileall.compile_file(made.folder / file, quiet=1) for file in changed if file.endswith(".py"))


@pytest.mark.parametrize("tooth", TEETH, ids=lambda tooth: tooth.name)
def test_a_tooth_names_scenarios_that_exist(tooth: Tooth) -> None:
    assert {scenario.name for scenario in chosen(list(tooth.scenarios))} == set(tooth.scenarios)


def test_a_change_that_fits_nowhere_is_an_error(build: Build) -> None:
    with pytest.raises(NoMatch, match="has 0 places"):
        build.replace("settings.py", "what nobody wrote", "")


def test_every_fault_of_the_list_has_a_scenario() -> None:
    assert {scenario.number for scenario in chosen([])} == {*range(1, 38), *range(39, 46), 99}


def test_a_copy_is_gone_when_its_block_is_over() -> None:
    with Build(ROOT, "gone") as made:
        folder: Path = made.folder
        assert (folder / "state" / "scripts" / "admit.lua").exists()

    assert not folder.exists()
