"""Deliveries of a webhook at a fixed rate, whether or not the earlier ones were answered, over connections that stay."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import deque
from dataclasses import dataclass, field

#: A key of Standard Webhooks, as WEBHOOK_SECRET_BENCH names it.
KEY = b"a key of the benchmark, 32 bytes"
SECRET = "whsec_" + base64.b64encode(KEY).decode()

TABLE = """\
sources = {
    "bench": {
        "scheme": "standard",
        "event": "body:type",
        "delivery": "header:webhook-id",
        "rate": "100000/minute",
        "start": {"happened": {"task": "bench.agents.stack.delivered", "arguments": {"number": "body:number"}}},
    },
}
"""
ACCEPTED = b"202"


@dataclass
class Deliveries:
    """The deliveries of one run.

    Attributes:
        port: Where the web process listens.
        seconds: From when each was due until it was answered.
        accepted: When each was answered, in seconds since 1970, by its number.
        refused: The answers that were no acceptance.

    """

    port: int
    seconds: list[float] = field(default_factory=list)
    accepted: dict[int, float] = field(default_factory=dict)
    refused: list[bytes] = field(default_factory=list)
    _idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=deque)

    def send(self, first: int, count: int, rate: float) -> None:
        """Send so many deliveries, numbered from `first`, so many a second, and wait for all answers."""
        asyncio.run(self._send_all(first, count, rate))
        self._idle.clear()

    async def _send_all(self, first: int, count: int, rate: float) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for index in range(count):
                due = began + index / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._deliver(first + index, due))
        for _, writer in self._idle:
            writer.close()

    async def _deliver(self, number: int, due: float) -> None:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(_request(number))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        answered = time.perf_counter()
        self._idle.append((reader, writer))
        if head.split(b" ", 2)[1] == ACCEPTED:
            self.seconds.append(answered - due)
            self.accepted[number] = time.time()
        else:
            self.refused.append(head[:40] + body[:200])


def _request(number: int) -> bytes:
    body = json.dumps({"type": "happened", "number": number, "data": {"text": "x" * 200}}).encode()
    name, at = f"delivery-{number}", str(int(time.time()))
    signature = base64.b64encode(hmac.digest(KEY, f"{name}.{at}.".encode() + body, hashlib.sha256)).decode()
    head = (
        f"POST /hooks/bench HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"webhook-id: {name}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
