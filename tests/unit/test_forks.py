"""Commands that tests run as forks behave as processes of their own do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.harness import forks, patient
from tests.harness.forker import MAX_REQUEST
from tests.harness.install import ROOT


def python(*args: str) -> list[str]:
    return [sys.executable, *args]


def both(command: Sequence[str], env: dict[str, str], cwd: Path) -> list[tuple[int, str, str]]:
    """How a fork of this command ends and what it writes, and how a process of its own does."""
    assert forks.can_be_forked(command, env)
    own = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=patient(60), check=False)
    done = [forks.run(command, env=env, cwd=cwd), own]
    return [(each.returncode, each.stdout, "".join(each.stderr.splitlines()[-1:])) for each in done]


@pytest.mark.parametrize(
    "code",
    [
        "print('out'); import sys; print('err', file=sys.stderr)",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('a reason')",
        "1 / 0",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import os, sys; print(os.getcwd(), sorted(os.environ), sys.argv, sys.path, __name__)",
        "import sys; print(repr(sys.stdin.read()), sys.stdout.isatty())",
        "import atexit, threading; atexit.register(print, 'last'); threading.Timer(0.1, print, ['late']).start()",
        "import time; print(time.tzname, time.localtime(0).tm_hour)",
        "import signal; print(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD))",
        "import workers, settings; print(settings.current().state_dir)",
    ],
)
def test_a_fork_does_what_a_process_of_its_own_does(code: str, tmp_path: Path) -> None:
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TZ": "Asia/Tokyo",
        "STATE_DIR": str(tmp_path / "state"), **{name: os.environ[name] for name in os.environ if name.startswith("L")},
    }  # fmt: skip

    fork, own = both(python("-c", code), env, tmp_path)

    assert fork == own


def test_a_module_runs_from_the_folder_of_the_fork(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys; print(sys.argv, sys.path[0], __name__)")

    fork, own = both(python("-m", "program", "a", "--b"), dict(os.environ), tmp_path)

    assert fork == own


def test_a_fork_has_imported_nothing_of_the_product() -> None:
    code = "import sys, json; print(json.dumps([getattr(m, '__file__', None) or '' for m in vars(sys)['modules'].values()]))"
    files = json.loads(forks.run(python("-c", code), cwd=ROOT).stdout)

    own = {each for each in files if Path(each).is_relative_to(ROOT) and ".venv" not in each}
    assert {Path(each).name for each in own} <= {"forker.py"}
    assert any("celery" in each for each in files)


@pytest.mark.parametrize(
    ("command", "env"),
    [
        (["sh", "-c", "true"], {}),
        (python("-c", "import sys; print('mcp' in sys.modules)"), {}),
        (python("-c", "pass"), {"PYTHONIOENCODING": "ascii"}),
        (python("-c", "pass"), {"LD_PRELOAD": "libfaketime.so"}),
        (python("-c", "pass"), {"LC_ALL": "tlh"}),
        (python("-c", "pass"), {"PYTHONPATH": str(ROOT / "tests" / "clocks")}),
        (python("-c", "pass" + " " * MAX_REQUEST), {}),
        (python("-c", "pass"), {"REMAP_SIGTERM": "SIGQUIT"}),
    ],
)
def test_what_only_a_new_interpreter_can_do_is_no_fork(command: list[str], env: dict[str, str]) -> None:
    assert not forks.can_be_forked(command, {**os.environ, **env})


def test_a_forker_that_just_began_refuses_nobody() -> None:
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.connect(forks._forker.__wrapped__())


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    code = "import os, time, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"

    with pytest.raises(subprocess.TimeoutExpired):
        forks.run(python("-c", code), cwd=tmp_path, timeout=2)

    if (tmp_path / "pid").exists():  # a slow machine may not have come so far
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_a_fork_of_its_own_session_is_stopped_with_all_its_children(tmp_path: Path) -> None:
    code = "import os, time; os.fork(); print(os.getpgrp() == os.getsid(0), flush=True); time.sleep(600)"
    with tempfile.TemporaryFile() as out:
        child = forks.start(
            python("-c", code), dict(os.environ), tmp_path, forks.Streams(out.fileno(), out.fileno()), new_session=True
        )
        assert child.poll() is None
        assert os.getpgid(child.pid) == child.pid
        os.killpg(child.pid, signal.SIGKILL)

        assert child.wait(60) == -signal.SIGKILL
        assert child.poll() == -signal.SIGKILL
