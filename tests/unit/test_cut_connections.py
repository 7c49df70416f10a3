"""workers/drill/stub_tasks.py: a process cuts its connections, and keeps no second hold on its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import settings
from tests.harness import patient

CODE = """
import fcntl, os, socket, sys
from workers.drill.stub_tasks import cut_connections

listener = socket.create_server(("127.0.0.1", 0))
here = socket.create_connection(listener.getsockname())
there, _ = listener.accept()
file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
before = len(os.listdir("/dev/fd"))
assert cut_connections() >= 2
assert here.recv(1) == there.recv(1) == b""
assert len(os.listdir("/dev/fd")) == before
os.close(file)
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def test_a_cut_leaves_no_descriptor_that_holds_a_lock(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "lock")],
        cwd=settings.ROOT, capture_output=True, text=True, timeout=patient(30), check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
