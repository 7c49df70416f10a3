"""The peers' own environment: below `build/`, which git ignores, made on the first run and again for other pins."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import Configured
from settings import ROOT

PINS = Path(__file__).with_name("requirements.txt")

#: Seconds for pip to install one peer.
INSTALLS_WITHIN = 600.0

VERSIONS = (
    "import json, sys; from importlib.metadata import version; print(json.dumps({n: version(n) for n in sys.argv[1:]}))"
)


class NotInstalled(RuntimeError):
    """Raised when pip cannot install a peer; says why."""


class Venv:
    """The virtual environment of the peers; each is installed separately, so that a failure does not stop the others."""

    def __init__(self) -> None:
        pins = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
        self.folder = ROOT / "build" / f"peers-{pins}"
        self.python = self.folder / "bin" / "python"

    def install(self, packages: tuple[str, ...]) -> None:
        """Install packages in the versions of requirements.txt, unless they are there."""
        if not self.python.exists():
            venv.create(self.folder, with_pip=True)
        if self._has(packages):
            return
        pip = [
            str(self.python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
            str(PINS),
        ]
        done = subprocess.run([*pip, *packages], capture_output=True, text=True, timeout=INSTALLS_WITHIN, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise NotInstalled(f"pip: {(errors or [done.stderr.strip()])[0][:200]}")

    def install_each(self, peers: Sequence[Configured]) -> dict[str, str]:
        """Install the packages of each peer; return adapter → why they cannot be installed, for those that cannot."""
        missing: dict[str, str] = {}
        for peer in peers:
            try:
                if peer.packages:
                    self.install(peer.packages)
            except NotInstalled as error:
                missing[peer.adapter] = str(error)
        return missing

    def python_of(self, peer: Configured) -> Path:
        """Return the interpreter that has this peer: this one for the product itself."""
        return self.python if peer.packages else Path(sys.executable)

    def versions_of(self, peers: Sequence[Configured], missing: dict[str, str]) -> dict[str, str]:
        """Package → the version that is installed, for the peers that are not missing."""
        names = sorted({name for peer in peers if peer.adapter not in missing for name in peer.packages})
        found: dict[str, str] = json.loads(self._ask(tuple(names)).stdout) if names else {}
        return found

    def _has(self, packages: tuple[str, ...]) -> bool:
        return self._ask(packages).returncode == 0

    def _ask(self, packages: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-c", VERSIONS, *packages], capture_output=True, text=True, timeout=60, check=False
        )
