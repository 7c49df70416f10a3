"""The probes of the pods without a port, on a real worker: ready once it consumes, restarted once it is stuck."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.deploy.kubernetes import Manifest, deployments
from tests.deploy.tools import run
from tests.harness import Install, until

#: Minutes of silence after which the probe gives a worker up, and a little more.
STUCK_SECONDS = 130.0


def probe(manifest: Manifest, kind: str, pulse: Path) -> bool:
    """Run the probe's command as kubelet does, with the file of this process for that of process 1."""
    words: list[str] = manifest.process[kind]["exec"]["command"]
    command = [word.replace("/data/state/run/pulse", str(pulse.parent)) for word in words]
    command = [word.replace("/1", f"/{pulse.name}").replace("-name 1 ", f"-name {pulse.name} ") for word in command]
    assert any(pulse.name in word for word in command), command
    return run(*command).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("manifest", [each for each in deployments() if each.name != "web"], ids=lambda each: each.name)
def test_a_probe_tells_a_process_that_starts_from_one_that_works_and_one_that_is_stuck(
    manifest: Manifest, install: Install
) -> None:
    pulse = install.state_dir / "run" / "pulse" / "7"
    starting = (probe(manifest, "readinessProbe", pulse), probe(manifest, "livenessProbe", pulse))
    process = install.worker() if manifest.name == "worker" else install.beat()
    pulse = pulse.with_name(str(process.pid))

    until(lambda: probe(manifest, "readinessProbe", pulse), 20, "the process to be ready")
    alive = probe(manifest, "livenessProbe", pulse)
    process.pause()
    old = time.time() - STUCK_SECONDS
    os.utime(pulse, (old, old))
    stuck = probe(manifest, "livenessProbe", pulse)
    process.resume()

    assert starting == (False, True)
    assert (alive, stuck) == (True, False)
