"""Allow only the character encodings that the web uses.

Python accepts about a hundred more, and some are unsafe for untrusted input: `punycode` and `idna` take quadratic time,
`unicode_escape` and `utf-7` hide text from a filter that reads bytes, and Python caches each name it is asked for.
"""

from __future__ import annotations

_ISO = {f"iso-8859-{number}": f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))}
_WINDOWS = {f"windows-125{number}": f"cp125{number}" for number in range(9)}
_ASIAN = {
    "shift-jis": "shift_jis",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
    "euc-kr": "euc_kr",
    "ks-c-5601-1987": "euc_kr",
}
_KNOWN = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "latin-1": "iso8859-1",
    "latin1": "iso8859-1",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "tis-620": "tis_620",
    **_ISO,
    **_WINDOWS,
    **{f"cp125{number}": f"cp125{number}" for number in range(9)},
    **_ASIAN,
}


def codec(name: str) -> str | None:
    """Return Python's name of an encoding, or None if it is not on the list."""
    return _KNOWN.get(name.strip().strip("\"'").lower().replace("_", "-"))


def of_content_type(value: str) -> str:
    """Return Python's name of the encoding in a Content-Type header; UTF-8 if there is none on the list."""
    _, _, parameters = value[:500].partition(";")
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip().lower() == "charset":
            return codec(charset) or "utf-8"
    return "utf-8"
