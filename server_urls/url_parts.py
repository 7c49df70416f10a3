"""The checks that every URL of a server passes, whichever server it names: its form, and the files of its certificates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

MAX_PORT = 65_535
#: The options that name files of certificates.
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class UnusableUrl(ValueError):
    """Raised for a URL that cannot be used; the message says what to write instead, and never shows the URL."""


def split(url: str, default_port: int, path: str = "path") -> SplitResult:
    """Split a URL into its parts.

    Args:
        url: The URL.
        default_port: The port that its scheme has by default, for the message.
        path: What stands behind its host, for the message.

    Raises:
        UnusableUrl: Not every client would read the URL alike.

    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnusableUrl(
            "cannot be read; percent-encode special characters in its password, write a number as its port"
        ) from None
    if port == 0:
        raise UnusableUrl(f"has the port 0; write a number from 1 to {MAX_PORT}, the default is {default_port}")
    if parts.fragment or url.endswith("#"):
        raise UnusableUrl(f"has a '#' in it; write %23 where it belongs to the password or the {path}")
    if not url.isprintable() or any(c.isspace() for c in url):
        raise UnusableUrl("has a space or a control character in it; percent-encode it")
    return parts


def certificate_files(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options that name files of certificates; raise UnusableUrl for a file that cannot be used."""
    files = {option: options[option] for option in FILES if option in options}
    for option, file in files.items():
        if not Path(file).is_absolute() or not os.access(file, os.R_OK):
            raise UnusableUrl(f"has an {option} that is not the whole path of a file that can be read")
    if "ssl_keyfile" in files and "ssl_certfile" not in files:
        raise UnusableUrl("has an ssl_keyfile and no ssl_certfile; write both, or the certificate alone")
    return files
