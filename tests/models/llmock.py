"""llmock, a mock of model providers that watches its clients and judges them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.harness import patient, until
from tests.harness.ports import free_ports


class Llmock:
    """A running `llmock serve`."""

    def __init__(self, folder: Path) -> None:
        program = Path(sys.executable).with_name("llmock")
        if not program.exists():
            if os.environ.get("CI"):
                raise FileNotFoundError(program)
            pytest.skip("llmock is not installed: pip install -e '.[dev]'")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        with (folder / "llmock.log").open("wb") as log:
            self._child = subprocess.Popen(
                [program, "serve", "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=subprocess.STDOUT
            )
        until(lambda: self._talk("GET", "/_llmock/requests"), 30, "llmock to answer")

    @property
    def groq(self) -> str:
        return f"{self.url}/groq/openai/v1"

    @property
    def openai(self) -> str:
        """What stands in for MiniMax: the same form."""
        return f"{self.url}/v1"

    def will(self, *behaviors: dict[str, Any]) -> None:
        """Queue behaviours, in llmock's own words."""
        self._talk("POST", "/_llmock/scenario", {"behaviors": list(behaviors)})

    def asked(self) -> list[dict[str, Any]]:
        """Every request so far."""
        found: list[dict[str, Any]] = self._talk("GET", "/_llmock/requests")["requests"]
        return found

    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = self._talk("GET", "/_llmock/verdict")
        return found

    def reset(self) -> None:
        self._talk("POST", "/_llmock/reset", {})

    def close(self) -> None:
        self._child.terminate()
        self._child.wait(10)

    def _talk(self, method: str, path: str, content: object = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        with build_opener(ProxyHandler({})).open(
            Request(self.url + path, data, method=method), timeout=patient(10)
        ) as answer:
            return json.loads(answer.read())
