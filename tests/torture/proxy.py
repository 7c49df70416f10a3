"""A TCP proxy that misbehaves on request: `python -m tests.torture.proxy --target HOST:PORT|unix:PATH --port-file FILE`.

It writes its two ports to the file, that of the line and that of the control: one JSON order per line, one answer each.

    {"set": {...}}            change the standing orders:
        up, down              "pass", or "hold": keep the bytes to, or from, the target until "pass" again
        delay                 seconds before each piece goes on
        lose                  so many next answers are lost: the target did its work, the client's connection is reset
        lose_share            each answer is lost with this probability
        reset_after           a new connection is reset after so many bytes of answer; null for never
        deliver               false: what a held connection sent is thrown away when its client is gone
    {"cut": "both"|"client"}  reset every connection; with "client" the target keeps its end and what was sent to it
    {"keep": bool}            true: what the connections of now sent is kept until false, whatever the orders say
    {"half_close": true}      end the stream towards each client; what the client sends still arrives
    {"listen": bool}          close or open the door: a closed one refuses connections
    {"target": "HOST:PORT"}   where new connections lead
    {}                        only tell
Each answer is {"connections": now open, "total": ever made, "held": bytes kept, "lost": answers lost}.

Bytes are read as soon as they come, so what a client sent before it was killed still arrives when it is let go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PIECE = 64 * 1024


@dataclass
class Orders:
    up: str = "pass"
    down: str = "pass"
    delay: float = 0.0
    lose: int = 0
    lose_share: float = 0.0
    reset_after: int | None = None
    deliver: bool = True


class Connection:
    """One client, and the target's end of it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, target: asyncio.StreamWriter) -> None:
        self._proxy, self._client, self._target = proxy, client, target
        self.gone = False  # the client
        self.kept = False
        self.held = 0
        self._answered = 0

    async def run(self, client: asyncio.StreamReader, target: asyncio.StreamReader) -> None:
        ways = [self._carry(client, self._target, "up"), self._carry(target, self._client, "down")]
        try:
            await asyncio.gather(*ways)
        finally:
            self._target.transport.abort()
            self._client.transport.abort()

    def reset(self) -> None:
        """Let the client see a reset, now."""
        self.gone = True
        sock = self._client.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.transport.abort()

    def cut(self) -> None:
        self.reset()
        self._target.transport.abort()

    def half_close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._client.write_eof()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
        """Read at once, hand on when the orders allow it."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()
        reading = asyncio.create_task(self._read(source, pieces, way))
        try:
            while piece := await pieces.get():
                await self._proxy.may_pass(way, self)
                await asyncio.sleep(self._proxy.orders.delay)
                self.held -= len(piece)
                if way == "up" and self.gone and not self._proxy.orders.deliver:
                    return self._target.transport.abort()
                if not await self._hand_on(piece, sink, way):
                    return None
            await self._proxy.may_pass(way, self)
            with contextlib.suppress(OSError, RuntimeError):
                sink.write_eof()
        finally:
            reading.cancel()

    async def _read(self, source: asyncio.StreamReader, pieces: asyncio.Queue[bytes], way: str) -> None:
        piece = b""
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                self.held += len(piece)
                pieces.put_nowait(piece)
        self.gone = self.gone or way == "up"
        pieces.put_nowait(b"")

    async def _hand_on(self, piece: bytes, sink: asyncio.StreamWriter, way: str) -> bool:
        """False when nothing may follow."""
        if way == "down" and self._proxy.loses(self._answered + len(piece)):
            self.reset()
            return False
        self._answered += len(piece) if way == "down" else 0
        with contextlib.suppress(
            OSError, RuntimeError
        ):  # a client that was killed takes no answer; the target's is still read
            sink.write(piece)
            await sink.drain()
        return True


class Proxy:
    """The line, its orders and its connections."""

    def __init__(self, target: str, seed: int) -> None:
        self.orders = Orders()
        self._target = target
        self._random = random.Random(seed)
        self._changed = asyncio.Condition()
        self._connections: set[Connection] = set()
        self._total = self._lost = self._port = 0
        self._door: asyncio.Server | None = None

    async def open(self) -> int:
        if self._door is None:
            self._door = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)
            self._port = self._door.sockets[0].getsockname()[1]
        return self._port

    def shut(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    async def may_pass(self, way: str, connection: Connection) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: getattr(self.orders, way) == "pass" and not connection.kept)

    def loses(self, answered: int) -> bool:
        """Whether an answer is lost, given how many bytes its connection has had with it."""
        orders = self.orders
        lost = orders.lose > 0 or (orders.lose_share > 0 and self._random.random() < orders.lose_share)
        if orders.lose > 0:
            orders.lose -= 1
        lost = lost or (orders.reset_after is not None and answered > orders.reset_after)
        self._lost += lost
        return lost

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await self._obey(json.loads(line))
            held = sum(connection.held for connection in self._connections)
            told = {"connections": len(self._connections), "total": self._total, "held": held, "lost": self._lost}
            writer.write(json.dumps(told).encode() + b"\n")
            await writer.drain()

    async def _obey(self, order: dict[str, Any]) -> None:
        async with self._changed:
            for name, value in order.get("set", {}).items():
                if not hasattr(self.orders, name):
                    raise ValueError(f"no order is called {name}")
                setattr(self.orders, name, value)
            for connection in self._connections:
                connection.kept = order.get("keep", connection.kept)
            self._changed.notify_all()
        for connection in list(self._connections):
            if "cut" in order:
                (connection.cut if order["cut"] == "both" else connection.reset)()
            if "half_close" in order:
                connection.half_close()
        self._target = order.get("target", self._target)
        if order.get("listen") is False:
            self.shut()
        elif "listen" in order:
            await self.open()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._total += 1
        try:
            there, back = await self._connect()
        except OSError:
            return writer.transport.abort()
        connection = Connection(self, writer, back)
        self._connections.add(connection)
        try:
            await connection.run(reader, there)
        finally:
            self._connections.discard(connection)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(self._target.removeprefix("unix:"))
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))


async def serve(target: str, seed: int, port_file: Path) -> None:
    """Carry and obey until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    proxy = Proxy(target, seed)
    control = await asyncio.start_server(proxy.control, "127.0.0.1", 0)
    ports = [await proxy.open(), control.sockets[0].getsockname()[1]]
    whole = port_file.with_suffix(".new")
    whole.write_text(json.dumps(ports))
    whole.replace(port_file)
    await over.wait()


def main() -> None:
    options = argparse.ArgumentParser(description="A TCP proxy that misbehaves on request.")
    options.add_argument("--target", required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--port-file", type=Path, required=True)
    chosen = options.parse_args()
    asyncio.run(serve(chosen.target, chosen.seed, chosen.port_file))


if __name__ == "__main__":
    main()
