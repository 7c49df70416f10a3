"""Mistakes of people: each is one line that names the place and the right form, at whichever command it shows."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import Install, Valkey, forks
from tests.harness.install import ROOT

pytestmark = pytest.mark.slow  # each mistake is made in a process of its own

#: A module of an agent's, and what is said of it: the text of its task's decorator.
AGENT = """
import gatekeeper
from gatekeeper import Breaker, Effect

{before}
def dig(topic: str, n: int = 1) -> str:
    return topic
"""

DECORATORS = {
    "@gatekeeper.task": "stands before dig without brackets; write @gatekeeper.task()",
    "@gatekeeper.task(bind=True)": "'bind'; remove it, and 'self'",
    "@gatekeeper.task(max_retries=3)": "'max_retries'; write attempts=, with backoff=",
    "@gatekeeper.task(attempts='3')": "odd.dig: attempts='3'; write at least 1",
    "@gatekeeper.task(lease=-1)": "odd.dig: lease=: -1 is not a duration; write for example '30s'",
    "@gatekeeper.task(max_age=None)": "odd.dig: max_age=: None is not a duration",
    "@gatekeeper.task(key='d:{topic}', effect=True)": "effect=True; write effect=Effect()",
    "@gatekeeper.task(rate=10)": "rate=10 is not a text; write for example '10/hour'",
    "@gatekeeper.task(breaker='3')": "breaker='3'; write breaker=Breaker(",
}


@pytest.fixture
def house(install_on: Callable[[Valkey], Install], valkey: Valkey, tmp_path: Path) -> Install:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "odd"
    install.env["PYTHONPATH"] = f"{tmp_path}:{install.env['PYTHONPATH']}"
    return install


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that refused said, which is one line and no traceback."""
    assert done.returncode != 0, done.stdout
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    [line] = [line for line in said.splitlines() if line.strip()]
    return line


def refused_everywhere(install: Install) -> str:
    """The one line with which each process refuses to start."""
    commands = [
        ["-m", "celery", "-A", "workers", "gate", "status"],
        ["-m", "celery", "-A", "workers", "call", "odd.dig"],
        ["-m", "celery", "-A", "workers", "--quiet", "worker", "--pool", "solo"],
        ["-m", "celery", "-A", "workers", "--quiet", "beat"],
        ["-m", "web.validate_config"],
    ]

    def run(command: list[str]) -> str:
        return one_line(forks.run([sys.executable, *command], env=install.env, cwd=ROOT))

    with ThreadPoolExecutor(2) as pool:
        [line] = set(pool.map(run, commands))
    return line


def status(install: Install) -> str:
    return one_line(install.celery("gate", "status"))


@pytest.mark.parametrize("before", DECORATORS)
def test_a_decorator_that_is_not_right_names_its_line(house: Install, tmp_path: Path, before: str) -> None:
    (tmp_path / "odd.py").write_text(AGENT.format(before=before))

    line = status(house)

    assert line.startswith(f"gatehouse: {tmp_path}/odd.py, line 5: ")
    assert DECORATORS[before] in line


def test_a_module_that_cannot_be_imported_is_refused_everywhere_with_the_same_line(
    house: Install, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text("import gatekeeper\n\ndef dig(:\n")

    assert refused_everywhere(house) == f"gatehouse: {tmp_path}/odd.py, line 3: invalid syntax"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "import gatekeeper\nimport nothing_like_it\n",
            "line 2: ModuleNotFoundError: No module named 'nothing_like_it'",
        ),
        ("from gatekeeper import nothing\n", "line 1: ImportError: cannot import name 'nothing' from 'gatekeeper'"),
        ("def f():\n    return 1 / 0\nf()\n", "line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit('no')\n", "line 2: SystemExit: no"),
        ("def f():\n\treturn 1\n        return 2\n", "line 3: "),
        ("import gatekeeper\n@gatekeeper.task()\ndef f(x: 'list[') -> None: ...\n", "an annotation cannot be read"),
        (
            "import gatekeeper\nclass C: ...\n@gatekeeper.task()\ndef f(x: C) -> None: ...\n",
            "an argument cannot be checked",
        ),
        ("import gatekeeper\n@gatekeeper.task()\ndef f(x) -> None: ...\n", "argument 'x' has no annotation"),
        ("import gatekeeper\n\nfuse = gatekeeper.Breaker(after=0, cooldown='5m')\n", "line 3: "),
        ("import gatekeeper\npace = gatekeeper.Rate('0/hour')\n", "line 2: "),
    ],
    ids=["import", "name", "error", "exit", "indentation", "annotation", "type", "bare", "breaker", "rate"],
)
def test_whatever_is_wrong_in_an_agents_module_names_its_line(
    house: Install, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "odd.py").write_text(text)

    line = status(house)

    assert line.startswith(f"gatehouse: {tmp_path}/odd.py, line ")
    assert says in line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TASK_MODULES", "./odd", "TASK_MODULES names './odd', which is not the name of a module; write it as import does, such as odd"),
        ("TASK_MODULES", "agents/odd.py", "such as odd"),
        ("TASK_MODULES", "nobody_wrote_it", "TASK_MODULES names 'nobody_wrote_it', which is not on PYTHONPATH"),
        ("STATE_DIR", "/etc/passwd", "STATE_DIR='/etc/passwd': /etc/passwd is a file; write the path of a folder"),
        ("PUBLIC_DIR", "/etc/passwd/more", "/etc/passwd is a file"),
        ("CONTENT_DIR", "x" * 5000, "CONTENT_DIR cannot be used as a folder: File name too long"),
        ("WEB_PORT", "9" * 5000, "is not a port; write a number from 1 to 65535"),
        ("FLOWER_PORT", "８０", "is not a port"),
        ("WEB_HOST", "a b", "WEB_HOST='a b' is not an address or a name; write for example 127.0.0.1"),
        ("WEB_HOST", "a" * 300, "is not an address or a name"),
        ("HTTP_TIMEOUT", "nan", "HTTP_TIMEOUT='nan' must be a number above 0"),
        ("HTTP_TIMEOUT", "1e300", "3600 at most"),
        ("LEDGER_DAYS", "1e300", "36525 at most"),
        ("LEDGER_DAYS", "-1", "must be a number above 0"),
        ("LOG_FORMAT", "yaml", "write one of: json, console"),
        ("PUBLISH_TO", "nowhere", "PUBLISH_TO: "),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named_with_what_to_write(
    install_on: Callable[[Valkey], Install], valkey: Valkey, name: str, value: str, says: str
) -> None:
    install = install_on(valkey)
    install.env[name] = value

    assert says in status(install)


# Arguments


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ('{"name": "a", "value": NaN}', "an argument holds NaN or an infinity"),
        ('{"name": "a", "value": [1, {"b": -Infinity}]}', "an argument holds NaN or an infinity"),
        ('{"name": "a", "value": ' + "[" * 300 + "]" * 300 + "}", "an argument is nested deeper than 100 levels"),
        ('{"name": "a", "value": ' + "[" * 20000 + "]" * 20000 + "}", "nested"),
        ('{"name": "a", "value": ' + "9" * 5000 + "}", "4300 digits"),
        ('{"name": "a", "value": "\\\\ud800"}'.replace("\\\\", "\\"), "an argument holds half a character"),
        ('{"name": "a", "value": {"\\\\ud800": 1}}'.replace("\\\\", "\\"), "an argument holds half a character"),
        ("[1]", "kwargs"),
        ("{", "double quotes"),
    ],
    ids=["nan", "infinity", "deep", "very deep", "long number", "half", "half name", "list", "no json"],
)
def test_arguments_that_json_cannot_hold_are_refused_at_the_door(
    install_on: Callable[[Valkey], Install], valkey: Valkey, kwargs: str, says: str
) -> None:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "clerk"

    done = install.celery("call", "clerk.remember", "--kwargs", kwargs)

    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert says in done.stderr
    assert not valkey.client().keys("gate:{clerk}:call:*")


@pytest.mark.parametrize(
    "option",
    [("--countdown", text) for text in ("nan", "inf", "-inf", "1e300", "soon")]
    + [("--eta", text) for text in ("tomorrow", "2026-13-45", "9" * 50)]
    + [("--expires", text) for text in ("nan", "inf", "later")],
    ids=" ".join,
)
def test_a_time_that_is_none_is_refused_at_the_door(
    install_on: Callable[[Valkey], Install], valkey: Valkey, option: tuple[str, str]
) -> None:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "clerk"

    done = install.celery("call", "clerk.remember", "--kwargs", json.dumps({"name": "a", "value": 1}), *option)

    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert option[0][2:] in done.stderr
    assert not valkey.client().keys("gate:{clerk}:call:*")


def test_a_result_and_a_payload_that_json_cannot_hold_are_refused_and_not_null(
    install_on: Callable[[Valkey], Install], valkey: Valkey, tmp_path: Path
) -> None:
    install = install_on(valkey)
    install.env["TASK_MODULES"] = "odd"
    install.env["PYTHONPATH"] = f"{tmp_path}:{install.env['PYTHONPATH']}"
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
        from typing import Any
        import gatekeeper
        from gatekeeper import Effect

        @gatekeeper.task(attempts=1)
        def answer(what: str) -> Any:
            deep: Any = []
            for _ in range(300):
                deep = [deep]
            return {"nan": float("nan"), "inf": {"a": [float("inf")]}, "deep": deep, "long": 10**5000}[what]

        @gatekeeper.task(key="p:{n}", effect=Effect())
        def send(n: int) -> None:
            with gatekeeper.effect(payload={"n": float("nan")}):
                pass
        """)
    )

    said = install.json_of(
        """
        import json, odd
        found = {}
        for name, run in {w: (lambda w=w: odd.answer(w)) for w in ("nan", "inf", "deep", "long")}.items():
            try:
                found[name] = str(run())
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
        try:
            found["payload"] = str(odd.send(1))
        except Exception as error:
            found["payload"] = f"{type(error).__name__}: {error}"
        print(json.dumps(found))
        """
    )

    assert "holds NaN or an infinity" in said["nan"]
    assert "holds NaN or an infinity" in said["inf"]
    assert "is nested deeper than 100 levels" in said["deep"]
    assert "too long to be written" in said["long"]
    assert "the payload holds NaN or an infinity" in said["payload"]
