"""Say why a request got no answer."""

from __future__ import annotations

import ssl

from gatekeeper.redact import describe


def reason(error: BaseException) -> str:
    """Return the message of the operating system or the TLS library; those of the layers above are longer and add nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return describe(error)
