"""The line charts of the measurements: SVG that is committed, so nothing in it is random or from another host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pygal


def line_chart(title: str, x: str, numbers: Iterable[int], **options: Any) -> pygal.Line:
    """Return a chart without series, over numbers that it writes with separators.

    Args:
        title: Above the chart.
        x: What the numbers are.
        numbers: Of the points.
        **options: Further ones of pygal.

    """
    chart = pygal.Line(
        title=title, x_title=x, no_prefix=True, js=[], disable_xml_declaration=True, legend_at_bottom=True, **options
    )
    chart.x_labels = [f"{number:,}" for number in numbers]
    return chart
