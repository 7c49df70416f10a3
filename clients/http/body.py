"""Read the body of an answer: bounded in time, and in size both on the wire and unpacked."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

from requests import Response
from requests.exceptions import ChunkedEncodingError, ConnectionError, ContentDecodingError, ReadTimeout  # noqa: A004
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from clients.text import charsets

#: Bytes. What agents read is text; anything larger is a mistake or an attack.
MAX_BODY = 10 * 1024 * 1024

_CHUNK = 64 * 1024
_PLAIN = frozenset({"", "identity"})
#: gzip and zlib tell themselves apart by their first bytes.
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER = zlib.MAX_WBITS | 32


def read(response: Response, deadline: float) -> None:
    """Give `response` its whole body, and an encoding that is safe to decode it with.

    `requests` unpacks whatever the server names, in any number of layers, and 64 kB of gzip can hold 64 MB; what unpacks
    here stops at MAX_BODY.

    Raises:
        ContentDecodingError: it is too large, packed in another way, or damaged.
        ReadTimeout: it did not end before `deadline`, a time of `time.monotonic()`.

    """
    size, parts = 0, []
    for part in _unpacked(response, deadline):
        size += len(part)
        if size > MAX_BODY:
            raise ContentDecodingError(f"the answer is larger than {MAX_BODY} bytes")
        parts.append(part)
    response._content = b"".join(parts)  # noqa: SLF001 - where requests itself keeps a body it has read
    response.encoding = charsets.of_content_type(response.headers.get("Content-Type", ""))


def _unpacked(response: Response, deadline: float) -> Iterator[bytes]:
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing in _PLAIN:
        yield from _received(response, deadline)
        return
    if packing not in _PACKED:
        raise ContentDecodingError(f"the answer is packed as {packing[:40]!r}; gzip and deflate are understood")
    try:
        yield from _members(_received(response, deadline))
    except zlib.error as error:
        raise ContentDecodingError(f"the answer cannot be unpacked: {error}") from None


def _members(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, of which a file may hold several one after the other, or zlib."""
    unpacker, begun = zlib.decompressobj(_EITHER), False
    for received in chunks:
        chunk = received
        while chunk:
            begun = True
            # More than this is not needed to know that it is too large.
            yield unpacker.decompress(chunk, MAX_BODY + 1)
            chunk = unpacker.unused_data
            if chunk:
                unpacker = zlib.decompressobj(_EITHER)
    if begun and not unpacker.eof:
        raise ContentDecodingError("the answer cannot be unpacked: it ends early")


def _received(response: Response, deadline: float) -> Iterator[bytes]:
    """The bytes as they came, with the exceptions that requests would raise."""
    try:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise ReadTimeout("the answer did not end in time")
    except ProtocolError as error:
        raise ChunkedEncodingError(error) from error
    except ReadTimeoutError as error:
        raise ConnectionError(error) from error
