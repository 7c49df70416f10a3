"""Allow only the character encodings that the web uses.

Python accepts about a hundred more, and some are unsafe for untrusted input: `punycode` and `idna` take quadratic time,
`unicode_escape` and `utf-7` hide text from a filter that reads bytes, and Python caches each name it is asked for.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from contextlib import suppress

_UNICODE = {"utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii"}
_ISO = {f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))} | {"latin-1", "latin1"}
_WINDOWS = {f"cp{page}" for page in (874, *range(1250, 1259))}
_ASIAN = {"shift-jis", "euc-jp", "iso-2022-jp", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "ks-c-5601-1987"}
_OTHERS = {"koi8-r", "koi8-u", "macintosh", "tis-620", "cp866", "mac-cyrillic", "big5hkscs"}
#: Other names of these by which pages call them, after `codec` has simplified the spelling (WHATWG Encoding).
_LABELS = {
    **dict.fromkeys(("sjis", "ms-kanji", "cp31j", "cp932", "ms932"), "shift-jis"),
    **dict.fromkeys(("euckr", "korean", "cp949", "ks-c-5601-1989"), "euc-kr"),
    **dict.fromkeys(("gb-2312", "gb-2312-80", "chinese"), "gb2312"),
    **dict.fromkeys(("koi", "koi8", "koi8r"), "koi8-r"), **dict.fromkeys(("ibm866", "866"), "cp866"),
    "big5-hkscs": "big5hkscs", "iso-8859-8-i": "iso-8859-8", "l1": "latin1", "latin2": "iso-8859-2", "latin5": "iso-8859-9",
    "unicode-1-1-utf-8": "utf-8",
}  # fmt: skip
#: What browsers read for a name, because pages that declare the smaller encoding use the larger one (WHATWG Encoding).
_SUPERSETS = {"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874"} | {
    "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932",
}  # fmt: skip
#: The beginnings of a text that tell its encoding: byte order marks, and `<` in UTF-16 without one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
#: The encoding in an XML declaration.
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s{0,10}=\s{0,10}["']([^"'>]{0,100})["']""")
_ALLOWED = _UNICODE | _ISO | _WINDOWS | _ASIAN | _OTHERS


def codec(name: str) -> str | None:
    """Return Python's name of an encoding, or None if it is not on the list."""
    spelling = name.strip().strip("\"'").lower().replace("_", "-").removeprefix("x-").replace("windows-", "cp")
    spelling = re.sub(r"^iso-?8859-?(?=\d)", "iso-8859-", spelling)
    spelling = _LABELS.get(spelling, re.sub(r"^(?:cp|win|windows)-?(?=(?:125\d|874)$)", "cp", spelling))
    return codecs.lookup(spelling).name if spelling in _ALLOWED else None


def of_content_type(value: str) -> str:
    """Return Python's name of the encoding in a Content-Type header; UTF-8 if there is none on the list."""
    return in_content_type(value) or "utf-8"


def in_content_type(value: str) -> str | None:
    """Return Python's name of the encoding in a Content-Type header, or None if there is none on the list."""
    _, _, parameters = value[:500].partition(";")
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip().lower() == "charset":
            return codec(charset)
    return None


def in_xml_declaration(data: bytes) -> str | None:
    """Return the encoding that an XML document declares, as it is written there; None if it declares none."""
    declared = _DECLARATION.match(data[:1_000])
    return declared[1].decode("ascii", "replace") if declared else None


def decode_xml(data: bytes, content_type: str = "") -> str:
    """Decode an XML document: byte order mark, then Content-Type, then XML declaration (RFC 7303), then UTF-8.

    A document that declares UTF-8 and is UTF-8 is read as such, whatever the header says: many servers send one encoding
    for all files.

    Raises:
        LookupError: the encoding that the document declares is not on the list, and nothing else tells one.

    """
    declared, header = in_xml_declaration(data), in_content_type(content_type)
    known = codec(declared) if declared else None
    if declared and not (known or header) and not data.startswith(tuple(mark for mark, _ in _MARKS)):
        raise LookupError(declared)
    names = [known, header] if known == "utf-8" else [header, known]
    return decode(data, [name for name in names if name])


def decode(data: bytes, names: Iterable[str] = ()) -> str:
    """Decode a text by its byte order mark, or by the first encoding that fits: one of `names`, UTF-8, windows-1252.

    A text that is UTF-8 but for a few bytes stays UTF-8.

    Args:
        data: The text.
        names: Python's names of encodings on the list, the most likely first.

    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    known = [_SUPERSETS.get(name, name) for name in names]
    # A text that only says UTF-16, as those that were converted do, would decode as nonsense.
    likely = [name for name in known if not name.startswith("utf-16") or b"\0" in data[:16]]
    # No text in windows-1252 is UTF-8 by accident, and many servers say Latin-1 or ASCII of everything.
    for name in sorted([*likely, "utf-8"], key=lambda name: name == "cp1252"):
        with suppress(UnicodeDecodeError):
            return data.decode(name)
    text = data.decode(errors="replace")
    damaged = text.count("\ufffd")
    is_utf8 = sum(character > "\x7f" for character in text) > 2 * damaged
    return text if is_utf8 else data.decode(next((name for name in likely if name != "utf-8"), "cp1252"), "replace")
