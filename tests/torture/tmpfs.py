"""A small disk of its own for one folder, where the machine lets us mount one."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path


@cache
def missing() -> str | None:
    """Why no disk can be mounted here; None if it can."""
    with tempfile.TemporaryDirectory() as name:
        try:
            Disk(Path(name), 16).close()
        except (OSError, subprocess.CalledProcessError):
            return "mounting a tmpfs needs root"
    return None


class Disk:
    """A tmpfs of so many kilobytes over `folder`."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "torture", str(folder)]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self) -> Path:
        """Take what is free; answers the file that has it."""
        filler = self._folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return filler

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True, capture_output=True)
