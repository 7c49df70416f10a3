"""Allow only the character encodings that the web uses.

Python accepts about a hundred more, and some are unsafe for untrusted input: `punycode` and `idna` take quadratic time,
`unicode_escape` and `utf-7` hide text from a filter that reads bytes, and Python caches each name it is asked for.
"""

from __future__ import annotations

import codecs

_UNICODE = {"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii"}
_ISO = {f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))} | {"latin-1", "latin1"}
_WINDOWS = {f"cp{page}" for page in (874, *range(1250, 1259))}
_ASIAN = {"shift-jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "ks-c-5601-1987"}
_OTHERS = {"koi8-r", "koi8-u", "macintosh", "tis-620"}
_ALLOWED = _UNICODE | _ISO | _WINDOWS | _ASIAN | _OTHERS


def codec(name: str) -> str | None:
    """Return Python's name of an encoding, or None if it is not on the list."""
    spelling = name.strip().strip("\"'").lower().replace("_", "-").replace("windows-", "cp")
    return codecs.lookup(spelling).name if spelling in _ALLOWED else None


def of_content_type(value: str) -> str:
    """Return Python's name of the encoding in a Content-Type header; UTF-8 if there is none on the list."""
    _, _, parameters = value[:500].partition(";")
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip().lower() == "charset":
            return codec(charset) or "utf-8"
    return "utf-8"
