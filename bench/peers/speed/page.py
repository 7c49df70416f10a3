"""The part of a page that the bench writes."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- written by make bench-peers -->", "<!-- end -->"


def replace_part(page: Path, text: str) -> None:
    """Put `text` between the two marks of a page.

    Raises:
        ValueError: The page does not have both marks.

    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} with an {END} behind it")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
