"""Read a response body within limits on time, and on size both compressed and decompressed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

from requests import Response
from requests.exceptions import ChunkedEncodingError, ConnectionError, ContentDecodingError, ReadTimeout  # noqa: A004
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from clients.text import charsets

#: Bytes. Agents read text; a larger body is a mistake or an attack.
MAX_BODY = 10 * 1024 * 1024

_CHUNK = 64 * 1024
_UNCOMPRESSED = frozenset({"", "identity"})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
#: Tells zlib to detect gzip or zlib by the header.
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


def read(response: Response, deadline: float) -> None:
    """Read the whole body of a streamed response into it, and set an encoding that is safe to decode it with.

    `requests` itself would decompress any number of layers without a limit, and 64 kB of gzip can hold 64 MB.

    Args:
        response: The response; its connection is still open.
        deadline: When the body must have ended, as a value of `time.monotonic()`.

    Raises:
        ContentDecodingError: the body is larger than MAX_BODY, compressed in an unsupported way, or damaged.
        ReadTimeout: the body did not end before the deadline.

    """
    size, parts = 0, []
    for part in _decompressed(response, deadline):
        size += len(part)
        if size > MAX_BODY:
            raise ContentDecodingError(f"the answer is larger than {MAX_BODY} bytes")
        parts.append(part)
    response._content = b"".join(parts)  # noqa: SLF001 - where requests itself keeps a body it has read
    response.encoding = charsets.of_content_type(response.headers.get("Content-Type", ""))


def _decompressed(response: Response, deadline: float) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in _UNCOMPRESSED:
        yield from _received(response, deadline)
        return
    if encoding not in _COMPRESSED:
        raise ContentDecodingError(f"the answer is packed as {encoding[:40]!r}; gzip and deflate are understood")
    try:
        yield from _decompress(_received(response, deadline))
    except zlib.error as error:
        raise ContentDecodingError(f"the answer cannot be unpacked: {error}") from None


def _decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress zlib, or one or more gzip members that follow each other."""
    decompressor, is_empty = zlib.decompressobj(_GZIP_OR_ZLIB), True
    for received in chunks:
        chunk = received
        while chunk:
            is_empty = False
            yield decompressor.decompress(chunk, MAX_BODY + 1)  # one byte more proves that the body is too large
            chunk = decompressor.unused_data
            if chunk:
                decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
    if not is_empty and not decompressor.eof:
        raise ContentDecodingError("the answer cannot be unpacked: it ends early")


def _received(response: Response, deadline: float) -> Iterator[bytes]:
    """Yield the bytes as received; raise the exceptions that `requests` would raise."""
    try:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            yield chunk
            if time.monotonic() > deadline:
                raise ReadTimeout("the answer did not end in time")
    except ProtocolError as error:
        raise ChunkedEncodingError(error) from error
    except ReadTimeoutError as error:
        raise ConnectionError(error) from error
