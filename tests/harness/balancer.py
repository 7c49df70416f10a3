"""A load balancer on loopback: one address for several servers, of which it takes the first that accepts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

#: Bytes that are carried at once.
PIECE = 64 * 1024


class Balancer:
    """Carry each connection to the first server that accepts one.

    Args:
        ports: Of the servers, on loopback, in the order in which they are tried.

    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.chosen = 0  #: the port that the newest connection leads to
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._serve, name="balancer", daemon=True).start()

    def close(self) -> None:
        """Take no further connections; the open ones end with their servers."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._carry_both, args=(client,), daemon=True).start()

    def _carry_both(self, client: socket.socket) -> None:
        server = self._connect()
        if server is None:
            client.close()
            return
        back = threading.Thread(target=_carry, args=(server, client), daemon=True)
        back.start()
        _carry(client, server)
        back.join()
        client.close()
        server.close()

    def _connect(self) -> socket.socket | None:
        for port in self._ports:
            with suppress(OSError):
                server = socket.create_connection(("127.0.0.1", port), timeout=2)
                server.settimeout(None)
                self.chosen = port
                return server
        return None


def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes until one end closes; then both do, as with a balancer whose server died."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
