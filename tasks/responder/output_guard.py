"""Check a text before it is sent to a person: no secrets, no foreign links or mentions, no markup."""

from __future__ import annotations

import re
import unicodedata

from gatekeeper.redact import hide_secrets

#: Characters; a reply is a few sentences.
MAX_LENGTH = 1_000

#: Characters of the message that a reply is compared with; a reply may not repeat links from the rest.
MAX_MESSAGE = 10_000

#: Everything that some program turns into a link: a URL, a host name, a Markdown link, an IP address.
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s<>\"')\]]*[\w/=&#-]|mailto:\S+|\b(?:[\w-]+\.)+[a-z]{2,}\b|\]\([^)]*\)|\b\d{1,3}(?:\.\d{1,3}){3}\b"
)
_MENTION = re.compile(r"@\w(?:[\w.-]*\w)?|<[@!#][^>]*>")
#: Mentions of everyone; never allowed, not even if the message has them.
_CROWD = re.compile(r"@(?:all|channel|everyone|group|here|room)\b|<!")
_HTML = re.compile(r"</?[a-z]")


class UnsafeReply(ValueError):
    """Raised for a text that must not be sent; the message says why."""


def check(text: str, message: str) -> str:
    """Check a reply.

    Args:
        text: The reply.
        message: The message that it replies to; the reply may repeat its links and mentions.

    Returns:
        The reply without invisible characters.

    Raises:
        UnsafeReply: the reply must not be sent.

    """
    if len(text) > MAX_LENGTH:  # before anything that takes quadratic time
        raise UnsafeReply(f"it has {len(text)} characters; at most {MAX_LENGTH}")
    cleaned = _visible(text).strip()
    folded, allowed = _folded(cleaned), _folded(_visible(message[:MAX_MESSAGE]))[:MAX_MESSAGE]
    if not cleaned:
        raise UnsafeReply("it is empty")
    if len(folded) > 2 * MAX_LENGTH:  # one character can expand to eighteen
        raise UnsafeReply(f"it has {len(folded)} characters when it is written out; at most {2 * MAX_LENGTH}")
    if hide_secrets(cleaned) != cleaned:
        raise UnsafeReply("it carries a secret")
    if _CROWD.search(folded):
        raise UnsafeReply("it mentions everyone")
    if _HTML.search(folded):
        raise UnsafeReply("it holds markup")
    for what, pattern in (("link", _LINK), ("mention", _MENTION)):
        if not all(_contains(allowed, match) for match in set(pattern.findall(folded))):
            raise UnsafeReply(f"it holds a {what} that the message does not")
    return cleaned


def _contains(message: str, match: str) -> bool:
    """Return whether the message has the link or mention as a whole: `notevil.com` does not contain `evil.com`."""
    return re.search(rf"(?<![\w@.-]){re.escape(match)}(?![\w-]|[./]\w)", message) is not None


def _visible(text: str) -> str:
    """Remove control characters except line breaks, and characters that hide or reverse others."""
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return "".join(
        c for c in normal if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    )


def _folded(text: str) -> str:
    """Fold case and compatibility characters, as programs do that turn text into links."""
    return unicodedata.normalize("NFKC", text).casefold()
