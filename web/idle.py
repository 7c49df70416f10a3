"""Let uvicorn sleep while nothing happens: its own loop looks ten times a second whether a signal has come."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import Any

from uvicorn.server import HANDLED_SIGNALS, Server

#: Seconds between two turns of the loop, each of which renews the Date header.
TURN_SECONDS = 1.0


def install(server: Any = Server) -> None:
    """Replace the loop of uvicorn's servers; a server that ends after so many requests keeps its own.

    Args:
        server: uvicorn's class of servers.

    """
    original = server.main_loop

    async def main_loop(self: Any) -> None:
        if self.config.limit_max_requests is not None or threading.current_thread() is not threading.main_thread():
            await original(self)
            return
        signalled = _woken_by_signals()
        while not await self.on_tick(0):
            try:
                await asyncio.wait_for(signalled.wait(), TURN_SECONDS)
            except TimeoutError:
                continue

    server.main_loop = main_loop


def _woken_by_signals() -> asyncio.Event:
    """Return an event that uvicorn's signals set, besides what their handlers do; uvicorn restores the handlers."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in HANDLED_SIGNALS:
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            before(number, frame)
            loop.call_soon_threadsafe(event.set)

        if callable(before):
            signal.signal(number, handle)
    return event
