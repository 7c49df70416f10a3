"""Convert Markdown to plain text: links keep their URL, lists keep their bullets."""

from __future__ import annotations

from collections.abc import Iterable

from markdown_it.token import Token

from clients.text import markdown
from clients.text.words import clean

_BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_MAIL = "mailto:"


@markdown.within_limits
def text_of(source: str, base: str = "") -> str:
    """Convert a post's body to plain text with an empty line between paragraphs.

    Args:
        source: Markdown.
        base: The address that relative links start from; without one they become their labels.

    Raises:
        RenderError: the text cannot be rendered within the limits.

    """
    page = _PlainTextBuilder()
    for token in markdown.tokens(source, base):
        page.take(token)
    return clean(page.text)


class _PlainTextBuilder:
    """Plain text, built block by block from Markdown tokens."""

    def __init__(self) -> None:
        self.text = ""
        self._bullet = ""
        self._tight = False  #: the current paragraph is an item of a tight list
        self._was_tight = False
        self._row: list[str] | None = None

    def take(self, token: Token) -> None:
        """Add what a token contributes to the text."""
        match token.type:
            case "list_item_open":
                self._bullet = f"{token.info}. " if token.info else "• "
            case "paragraph_open":
                self._tight = token.hidden
            case "tr_open":
                self._row = []
            case "tr_close":
                row, self._row = self._row or [], None
                self._add(" · ".join(cell for cell in row if cell), tight=True)
            case "fence" | "code_block":
                self._add(token.content.strip("\n"))
            case "inline":
                self._inline(_inline(token.children or []))

    def _inline(self, text: str) -> None:
        if self._row is not None:
            self._row.append(text)
        else:
            self._add(text, tight=self._tight)
            self._tight = False

    def _add(self, block: str, *, tight: bool = False) -> None:
        """Add a block; a tight one, such as a list item, follows the previous tight block without an empty line."""
        block, self._bullet = f"{self._bullet}{block}", ""
        if not block.strip():
            return
        gap = "\n" if tight and self._was_tight else "\n\n"
        self.text += f"{gap}{block}" if self.text else block
        self._was_tight = tight


def _inline(tokens: Iterable[Token]) -> str:
    """Return the text of one paragraph; each link becomes its label followed by its URL, unless they are the same."""
    text, opened = "", (0, "")
    for token in tokens:
        if token.type == "link_open":
            opened = (len(text), str(token.attrGet("href")))
        elif token.type == "link_close":
            start, address = opened
            text = text[:start] + _link(text[start:].strip(), address)
        else:
            text += _BREAKS.get(token.type, token.content)
    return "\n".join(" ".join(line.split()) for line in clean(text).splitlines())


def _link(label: str, address: str) -> str:
    shown = address.removeprefix(_MAIL)
    is_same = label in {shown, shown.partition("://")[2], ""}
    return shown if is_same else f"{label} ({shown})"
