"""Hundreds of unfinished requests do not stop a web process with few file descriptors from answering others."""

from __future__ import annotations

import socket
from functools import partial

from tests.harness import Install, patient, until
from tests.harness.install import http_status

DESCRIPTORS = 256


def _answers(url: str) -> bool:
    return http_status(url) in {200, 503}  # no worker runs here, and /readyz says so


def test_more_unfinished_requests_than_file_descriptors_do_not_stop_others(house: Install) -> None:
    command = f"ulimit -n {DESCRIPTORS}; exec uvicorn web.app:app --port {house.web_port} --log-level warning"
    web = house.start("web", ["sh", "-c", command])
    until(lambda: http_status(f"{house.web_url}/healthz") == 200, 30, "the web process")

    waiting = []
    for _ in range(4 * DESCRIPTORS):
        one = socket.create_connection(("127.0.0.1", house.web_port), timeout=patient(30))
        one.sendall(b"POST /hooks/forge HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        waiting.append(one)

    for path in ("/healthz", "/readyz") * 5:
        until(partial(_answers, f"{house.web_url}{path}"), 30, f"{path} to answer")
    assert web.alive
    assert "Traceback" not in web.output
    for one in waiting:
        one.close()
