"""A host that runs the Procfile says in PORT where it expects the web process."""

from __future__ import annotations

import subprocess

import pytest

from deploy import procfile, up
from tests.deploy.tools import ROOT

LINE = procfile.read(ROOT / "Procfile")["web"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "--host 127.0.0.1 --port 8000"),
        ({"PORT": "8577", "WEB_HOST": "0.0.0.0"}, "--host 0.0.0.0 --port 8577"),
        ({"PORT": "8577", "WEB_PORT": "8578"}, "--host 127.0.0.1 --port 8578"),
    ],
)
def test_the_web_process_listens_where_it_is_expected(given: dict[str, str], words: str) -> None:
    said = subprocess.run(["/bin/sh", "-c", f"echo {LINE}"], env=given, capture_output=True, text=True, check=True)

    assert words in said.stdout


def test_make_up_says_the_port_that_the_host_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8577")
    monkeypatch.setenv("WEB_PORT", "")

    assert up.child_environment()["WEB_PORT"] == "8577"
