"""What a text may hold that we send to a person, whoever wrote it. A model's answer is data: this is code, and decides."""

from __future__ import annotations

import re
import unicodedata

from gatekeeper.redact import hide_secrets

#: Characters; a reply is a few sentences.
MAX_LENGTH = 1_000

#: Characters of the message that an answer is compared with; what stands behind them, an answer may not repeat.
MAX_MESSAGE = 10_000

#: Everything that some program makes a link of: an address, a name with a dot and an ending, a Markdown link, a number.
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s<>\"')\]]*[\w/=&#-]|mailto:\S+|\b(?:[\w-]+\.)+[a-z]{2,}\b|\]\([^)]*\)|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
_MENTION = re.compile(r"@\w(?:[\w.-]*\w)?|<[@!#][^>]*>")
#: Words that call everybody; no message can ask for them.
_CROWD = re.compile(r"@(?:all|channel|everyone|group|here|room)\b|<!")
_HTML = re.compile(r"</?[a-z]")


class UnsafeReply(ValueError):
    """Raised for a text that must not be sent; says why."""


def check(text: str, answers: str) -> str:
    """The text, cleaned of what cannot be seen, if it may be sent as an answer to a message; else Unfit is raised."""
    if len(text) > MAX_LENGTH:  # before anything that takes time by the square of the length
        raise UnsafeReply(f"it has {len(text)} characters; at most {MAX_LENGTH}")
    cleaned = _visible(text).strip()
    folded, message = _folded(cleaned), _folded(_visible(answers[:MAX_MESSAGE]))[:MAX_MESSAGE]
    if not cleaned:
        raise UnsafeReply("it is empty")
    if len(folded) > 2 * MAX_LENGTH:  # one letter can stand for eighteen
        raise UnsafeReply(f"it has {len(folded)} characters when it is written out; at most {2 * MAX_LENGTH}")
    if hide_secrets(cleaned) != cleaned:
        raise UnsafeReply("it carries a secret")
    if _CROWD.search(folded):
        raise UnsafeReply("it calls everybody")
    if _HTML.search(folded):
        raise UnsafeReply("it holds markup")
    for what, pattern in (("link", _LINK), ("mention", _MENTION)):
        if not all(_stands_in(message, found) for found in set(pattern.findall(folded))):
            raise UnsafeReply(f"it holds a {what} that the message does not")
    return cleaned


def _stands_in(message: str, found: str) -> bool:
    """Whether the message has it as a whole: `evil.com` does not stand in `notevil.com`."""
    return re.search(rf"(?<![\w@.-]){re.escape(found)}(?![\w-]|[./]\w)", message) is not None


def _visible(text: str) -> str:
    """Without control characters, but for line breaks, and without marks that turn or hide what stands beside them."""
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(
        c for c in normal if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    )


def _folded(text: str) -> str:
    """As programs read it that turn text into links: full-width letters are letters."""
    return unicodedata.normalize("NFKC", text).casefold()
