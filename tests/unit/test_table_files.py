"""Each table of tests/data/tables gives the series that `expected.json` lists, and tells what it could not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clients.sources import BrokenSource, Document
from tasks.analyst import timeseries

FOLDER = Path(__file__).parents[1] / "data" / "tables"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_each_table_has_its_outcome(name: str) -> None:
    expected = EXPECTED[name]
    document = Document("Shop", (FOLDER / name).read_bytes(), content_type=expected.get("content_type", ""))
    if "broken" in expected:
        with pytest.raises(BrokenSource) as raised:
            timeseries.parse(document)
        assert expected["broken"] in str(raised.value)
        return

    parsed = timeseries.parse(document)

    found = {
        series.name: [list(pair) for pair in zip(series.labels, series.values, strict=True)] for series in parsed.parts
    }
    assert found == expected["series"]
    assert parsed.left_out == expected.get("left_out", "")


def test_every_table_of_the_folder_has_an_outcome() -> None:
    assert {path.name for path in FOLDER.iterdir()} - {"expected.json"} == set(EXPECTED)
