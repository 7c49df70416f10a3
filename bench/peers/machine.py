"""The machine and the versions that a table was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import date

from deploy.redis_server import find_server


def server_version() -> str:
    """Return the name and the version of the Redis server, such as `Valkey 9.1.2`."""
    words = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout.split()
    return f"{words[0]} {next(word[2:] for word in words if word.startswith('v='))}"


def described() -> str:
    """Return the sentence about date, machine and versions below a table."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"Measured on {date.today().isoformat()}: {machine}, {server_version()}."  # noqa: DTZ011 - a reader's date
