"""The headers of every answer: a browser must not guess a type, frame a page, or send an address to other sites."""

#: Our pages run no script, load nothing from elsewhere, and belong in no other page's frame. A page may have a stricter
#: policy of its own; a browser obeys both.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
