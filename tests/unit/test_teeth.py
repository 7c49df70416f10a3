"""Each tooth fits the product as it is now; the copies and the compiler are for tests/torture/test_teeth.py."""

from __future__ import annotations

import functools
import importlib

import pytest

from tests.harness.install import ROOT
from tests.torture import stumble
from tests.torture.teeth import TEETH
from tests.torture.tooth import Tooth


@pytest.mark.parametrize("tooth", TEETH, ids=lambda tooth: tooth.name)
def test_each_change_of_a_tooth_fits_exactly_one_place(tooth: Tooth) -> None:
    texts = {change.file: (ROOT / change.file).read_text() for change in tooth.changes}
    for change in tooth.changes:
        assert texts[change.file].count(change.old) == 1, f"{change.file}:\n{change.old}"
        texts[change.file] = texts[change.file].replace(change.old, change.new)


@pytest.mark.parametrize(("module", "path"), stumble.STEPS.values(), ids=stumble.STEPS)
def test_each_step_at_which_a_process_may_stumble_exists(module: str, path: str) -> None:
    assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))
