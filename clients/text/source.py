"""Tell code, comments and prose apart in Markdown source, in linear time and without rendering it.

Rendering needs a child process (`clients.text.markdown`), and the content folder is read at every tick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A comment of HTML; that of old browsers (`<![if IE]>`) is one too.
COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)|<!\[(?:if|endif)\b[^>\n]{0,200}>", re.DOTALL | re.IGNORECASE)

#: Removing a comment may join two halves of another; a text that goes on after this many rounds is not a person's.
MAX_ROUNDS = 20

#: The longest run of backticks that opens a code span here; each length is searched for once.
MAX_BACKTICKS = 20

NESTED = "has comments within comments; write each `<!-- … -->` by itself"

CODE, HIDDEN, PROSE = "code", "hidden", "prose"

_INLINE = re.compile(r"\\[^\n]|`+|<!--|<!\[(?=if|endif)|\n", re.IGNORECASE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_QUOTES = re.compile(r"(?: {0,3}> ?)*")
_MARKER = re.compile(r"(?:[-*+]|\d{1,9}[.)]) {1,4}(?=\S)")
_FENCE = re.compile(r"(`{3,})[^`\n]*$|(~{3,})", re.MULTILINE)
#: Columns by which an indented code block is indented.
_INDENT = 4


class UnclosedComment(ValueError):
    """Raised for a comment without an end: it is not known what its author wants to hide."""


def without_comments(source: str) -> str:
    """Remove the comments outside code; a second time changes nothing.

    Raises:
        UnclosedComment: a comment does not end, or comments are nested too deeply.

    """
    for _ in range(MAX_ROUNDS):
        kept = "".join(piece for kind, piece in pieces(source) if kind != HIDDEN) if "<!" in source else source
        if kept == source:
            return kept
        source = kept
    raise UnclosedComment(NESTED)


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """Split Markdown into pieces that are CODE, HIDDEN (comments) or PROSE; joined, they are the source."""
    blocks, at = _CodeBlocks(), 0
    while at < len(source):
        end = source.find("\n", at) + 1 or len(source)
        if blocks.take(source[at:end]):
            yield CODE, source[at:end]
        else:
            for kind, end in _line(source, at):
                yield kind, source[at:end]
                at = end
        at = end


def _line(source: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the pieces of a line, each with its end; a comment or a code span may end on a later line."""
    while found := _INLINE.search(source, at):
        mark, at = found[0], found.end()
        if mark == "\n":
            yield PROSE, at
            return
        if mark[0] == "`" and len(mark) <= MAX_BACKTICKS and (end := _span_end(source, at, len(mark))):
            yield PROSE, found.start()
            yield CODE, (at := end)
        elif mark[0] == "<" and (comment := COMMENT.match(source, found.start())):
            yield PROSE, found.start()
            at = comment.end()
            if "<!--" in comment[0][4:] and _ends_again(source, at):
                raise UnclosedComment(NESTED)
            yield HIDDEN, at
        elif mark == "<!--":
            begins = " ".join(source[found.start() : found.start() + 60].split())
            raise UnclosedComment(
                f"has a comment without an end: `{begins}`; write `-->` after it, or put it in backticks"
            )
    yield PROSE, len(source)


def _ends_again(source: str, at: int) -> bool:
    """Return whether a second end of a comment follows before another comment begins."""
    begin = source.find("<!--", at)
    return source.find("-->", at, begin if begin >= 0 else len(source)) >= 0


def _span_end(source: str, at: int, length: int) -> int:
    """Return the end of the code span whose opening backticks end at `at`; 0 if its paragraph does not close it."""
    closing = re.compile(f"(?<!`)`{{{length}}}(?!`)").search(source, at)
    return closing.end() if closing and not _BLANK_LINE.search(source, at, closing.start()) else 0


class _CodeBlocks:
    """Tells which lines are code: those of fences, and those that are indented below a blank line."""

    def __init__(self) -> None:
        self._fence = ""  #: the marks that opened the fence in progress
        self._home = (0, 0)  #: the depth of quotation and the column of the list item that the fence is in
        self._lists: list[int] = []  #: the columns at which the text of the open list items begins
        self._depth = 0
        self._may_indent = True

    def take(self, line: str) -> bool:
        """Return whether the next line is code."""
        line = line.expandtabs(_INDENT)
        quotes = _QUOTES.match(line)
        begin = quotes.end() if quotes else 0
        depth, rest = line[:begin].count(">"), line[begin:].rstrip()
        indent = len(rest) - len(rest.lstrip())
        if self._fence and depth >= self._home[0] and (not rest or indent >= self._home[1]):
            self._close(rest.strip())
            return True
        self._fence = ""
        if depth != self._depth:
            self._depth, self._lists = depth, []
        if not rest:
            self._may_indent = True
            return False
        return self._open(rest, indent)

    def _open(self, rest: str, indent: int) -> bool:
        """Take a line outside a fence that is not blank."""
        self._lists = [column for column in self._lists if column <= indent]
        if self._may_indent and indent >= self._column + _INDENT:
            return True
        at = indent
        while marker := _MARKER.match(rest, at):
            at = marker.end()
            self._lists.append(at)
        fence = _FENCE.match(rest, at) if at < self._column + _INDENT else None
        self._may_indent = rest.startswith("#", at)
        if fence:
            self._fence, self._home = fence[1] or fence[2], (self._depth, self._column)
        return bool(fence)

    def _close(self, text: str) -> None:
        """End the fence if this line of it has only its marks, at least as many."""
        if len(text) >= len(self._fence) and not text.strip(self._fence[0]):
            self._fence = ""
            self._may_indent = True

    @property
    def _column(self) -> int:
        return self._lists[-1] if self._lists else 0
