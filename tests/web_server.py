"""A web server on 127.0.0.1 for tests: its handler does what the test needs, and a client that hangs up ends its request quietly."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: Seconds; how soon `close` is noticed.
POLL = 0.02


class WebServer(ThreadingHTTPServer):
    """Serves from `start` to `close`, each connection in a thread."""

    request_queue_size = 256

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(POLL,), daemon=True).start()
        return self

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what is wrong with a handler, but not that its client is gone: clients are killed and cut off here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
