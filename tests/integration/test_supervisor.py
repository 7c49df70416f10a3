"""`make up` with small programs in a Procfile, a real server and real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

import settings
from deploy import process, procfile, redis_server, supervisor
from deploy.process import Process
from deploy.up import WATCHDOG
from tests.harness import patient, until
from tests.harness.ports import free_ports

SLEEPER = "sleep 600"
STUBBORN = """sh -c 'trap "" TERM; echo refusing; while :; do sleep 1; done'"""


def lives(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    if Path("/proc/self/stat").exists():
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


Given = tuple[list[str], dict[str, str]]


def configure(folder: Path, lines: dict[str, str], **given: str) -> Given:
    """Write a Procfile with `lines`; return the command and the environment that run it."""
    folder.mkdir(exist_ok=True)
    path = folder / "Procfile"
    path.write_text("".join(f"{name}: {command}\n" for name, command in lines.items()))
    inherited = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "BROKER_URL"}}
    web_port, flower_port = map(str, free_ports(2))
    own = {"WEB_PORT": web_port, "FLOWER_PORT": flower_port, "STATE_DIR": str(folder / "state")}
    command = [sys.executable, "-m", "deploy.up", "--procfile", str(path)]
    return command, {**inherited, **own, "LOG_FORMAT": "json", **given}


class Up:
    """One running `python -m deploy.up` and its output."""

    def __init__(self, folder: Path, lines: dict[str, str], driver: str = "", **given: str) -> None:
        command, self.environment = configure(folder, lines, **given)
        if driver:
            command = [sys.executable, "-c", driver, *command[3:]]
        self.state, self.said_to = Path(self.environment["STATE_DIR"]), folder / "said.txt"
        with self.said_to.open("wb") as said:
            self.child = subprocess.Popen(
                command, cwd=settings.ROOT, env=self.environment, stdout=said, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self.said_to.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]

    def pids(self, name: str) -> list[int]:
        return [
            event["pid"] for event in self.events if event["event"] == "process started" and event["process"] == name
        ]

    def pid(self, name: str) -> int:
        return self.pids(name)[-1]

    def everybody(self) -> list[int]:
        return [event["pid"] for event in self.events if event["event"] == "process started"]

    def wait_for(self, *names: str) -> Up:
        until(lambda: all(self.pids(name) for name in names))
        return self

    def wait_until_refusing(self) -> Up:
        until(lambda: "refusing" in self.said)
        return self

    def is_gone(self) -> bool:
        return not any(map(lives, self.everybody()))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.child.wait(timeout=patient(12))

    def refused(self) -> str:
        """Return the one line with which it ended."""
        assert 1 == self.child.wait(timeout=patient(8))
        assert 1 == len(self.said.splitlines()), self.said
        return self.said


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Up] = []

    def begin(folder: str = "one", lines: dict[str, str] | None = None, **given: str) -> Up:
        started.append(Up(tmp_path / folder, lines or {"one": SLEEPER, "two": SLEEPER}, **given))
        return started[-1]

    yield begin
    for up in started * 2:  # the second Ctrl-C makes it hurry
        up.child.send_signal(signal.SIGINT)
    for up in started:
        up.child.wait(timeout=patient(12))
        until(up.is_gone, 12)


def redis_of(up: Up) -> Redis:
    chosen = settings.read({"STATE_DIR": str(up.state)})
    redis_server.wait_until_ready(chosen, time.monotonic() + patient(5))
    return Redis.from_url(chosen.redis_url)


def test_a_killed_process_is_restarted_and_no_other_is_affected(start: Start) -> None:
    up = start().wait_for("one", "two")
    first = up.pid("one")

    os.kill(first, signal.SIGKILL)
    until(lambda: up.pid("one") != first)

    assert lives(up.pid("one"))
    assert 1 == len(up.pids("two")) == len(up.pids("redis"))
    assert "signal SIGKILL" in next(event["reason"] for event in up.events if "died" in event["event"])


@pytest.mark.slow
def test_a_killed_server_is_restarted_with_all_its_data(start: Start) -> None:
    up = start().wait_for("one", "two")
    with redis_of(up) as redis:
        redis.set("kept", "yes")

    os.kill(up.pid("redis"), signal.SIGKILL)
    until(lambda: len(up.pids("redis")) == 2)

    with redis_of(up) as redis:
        assert b"yes" == redis.get("kept")
    assert 1 == len(up.pids("one")) == len(up.pids("two"))


#: `make up` with shorter limits for silent processes.
IMPATIENT = """
import sys
from deploy import supervisor, up
supervisor.SILENT_SECONDS, supervisor.STUCK_SECONDS, supervisor.PULSE_CHECK_SECONDS = 1.0, 2.0, 0.2
sys.exit(up.main())
"""
#: As workers and beat do: touch a file with the name of the process id for as long as it works.
PULSING = "sh -c 'mkdir -p $STATE_DIR/run/pulse; while :; do touch $STATE_DIR/run/pulse/$$; sleep 0.2; done'"


@pytest.mark.slow
def test_a_process_that_runs_but_does_nothing_is_reported_and_restarted(start: Start) -> None:
    up = start(lines={"pulsing": PULSING, "two": SLEEPER}, driver=IMPATIENT).wait_for("pulsing", "two")
    first = up.pid("pulsing")
    pulse = up.state / "run" / "pulse" / str(first)
    until(pulse.exists)

    os.kill(first, signal.SIGSTOP)
    until(lambda: up.pid("pulsing") != first, 20)

    silent = [event["process"] for event in up.events if event["event"].startswith("process silent")]
    assert silent == ["pulsing"]
    assert not pulse.exists()
    assert len(up.pids("two")) == 1, "a process without a pulse file is not judged"


@pytest.mark.slow
def test_a_working_process_and_one_that_waits_for_the_server_are_left_alone(start: Start) -> None:
    up = start(lines={"pulsing": PULSING, "other": PULSING}, driver=IMPATIENT).wait_for("pulsing", "other")
    first, server_pid = up.pid("pulsing"), up.pid("redis")
    until((up.state / "run" / "pulse" / str(first)).exists)

    os.kill(server_pid, signal.SIGSTOP)  # it does not answer, and is not dead
    os.kill(first, signal.SIGSTOP)
    time.sleep(4)  # nothing is to happen, so there is nothing to wait for
    assert up.pids("pulsing") == [first]

    os.kill(server_pid, signal.SIGCONT)
    until(lambda: up.pid("pulsing") != first, 20)
    assert len(up.pids("other")) == 1


@pytest.mark.slow
def test_a_process_that_cannot_start_is_retried_with_growing_pauses(start: Start) -> None:
    up = start(lines={"broken": "no-such-program", "two": SLEEPER})

    until(lambda: up.said.count("process died") >= 2)  # a third one may follow before this process looks

    died = [event for event in up.events if "process died" in event["event"]]
    assert ["1 s", "2 s"] == [event["event"].removeprefix("process died, starts again in ") for event in died[:2]]
    assert "exit code 127" == died[0]["reason"]
    counted = json.loads((up.state / "run" / "deaths.json").read_text())
    assert len(counted["broken"]["times"]) >= len(died)
    assert counted["broken"]["reason"] == "exit code 127"
    assert 1 == len(up.pids("two"))


def test_the_pause_grows_to_its_maximum_and_is_reset_after_a_steady_run() -> None:
    failing = Process("failing", ["false"], {}, started=time.monotonic())

    assert [1, 2, 4, 8, 16, 30, 30] == [failing.schedule_restart() for _ in range(7)]
    failing.started -= process.STEADY_SECONDS
    assert 1 == failing.schedule_restart()


@pytest.mark.slow
def test_what_a_dead_process_leaves_behind_is_killed_with_it(start: Start, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    up = start(lines={"parent": f"""sh -c 'sleep 600 & echo $! > {note}; wait'"""})
    until(lambda: note.exists() and note.read_text())
    grandchild = int(note.read_text())

    os.kill(up.pid("parent"), signal.SIGKILL)

    until(lambda: not lives(grandchild))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_cleanly(start: Start, number: int) -> None:
    up = start().wait_for("one", "two")

    assert 0 == up.stop(number)
    assert up.is_gone()
    assert "killed" not in up.said


@pytest.mark.slow
def test_a_stop_takes_less_than_10_seconds_even_if_a_process_refuses_and_the_server_goes_last(start: Start) -> None:
    up = start(lines={"stubborn": STUBBORN, "two": SLEEPER}).wait_for("two").wait_until_refusing()
    up.child.send_signal(signal.SIGTERM)
    until(lambda: not lives(up.pid("two")))

    with redis_of(up) as redis:
        redis.set("written", "while stopping")

    assert 0 == up.child.wait(timeout=patient(12))
    assert supervisor.STOP_SECONDS + supervisor.SERVER_STOP_SECONDS < 10
    assert up.is_gone()
    with redis_of(start("again", STATE_DIR=str(up.state))) as redis:
        assert b"while stopping" == redis.get("written")


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait(start: Start) -> None:
    up = start(lines={"stubborn": STUBBORN}).wait_until_refusing()
    before = time.monotonic()
    up.child.send_signal(signal.SIGINT)
    until(lambda: "stopping" in up.said)

    assert 0 == up.stop(signal.SIGINT)
    assert time.monotonic() - before < supervisor.STOP_SECONDS, "that is how long one Ctrl-C waits for it"
    assert up.is_gone()


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_process_behind_and_the_next_one_waits_for_that(start: Start) -> None:
    up = start().wait_for("one", "two")
    os.kill(up.pid("watchdog"), signal.SIGKILL)  # its successor must know every process, too
    until(lambda: len(up.pids("watchdog")) == 2)

    up.child.kill()
    up.child.wait()
    again = start("again", STATE_DIR=str(up.state))
    until(lambda: again.pids("one"), 12)

    assert up.is_gone()


def test_the_watchdog_kills_what_refuses_to_stop_when_its_supervisor_is_gone() -> None:
    children = [
        subprocess.Popen(["sh", "-c", command], start_new_session=True, stdout=subprocess.PIPE)
        for command in (f"exec {STUBBORN}", "echo ready; exec sleep 600")
    ]
    for child in children:
        assert child.stdout
        child.stdout.read(5)
    roster = "".join(f"15 {child.pid};" for child in children)

    subprocess.run(["/bin/sh", str(WATCHDOG)], input=f"80 ;15 ;\n{roster}\n80 1".encode(), check=True)

    assert [-signal.SIGKILL, -signal.SIGTERM] == [child.wait(timeout=patient(2)) for child in children]
    for child in children:
        child.communicate()


@pytest.mark.slow
def test_a_closed_terminal_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    command, environment = configure(tmp_path, {"one": SLEEPER, "two": SLEEPER})
    reading, writing = os.pipe()
    child = subprocess.Popen(command, cwd=settings.ROOT, env=environment, stdout=writing, stderr=writing)
    os.close(writing)
    said = b""
    while b'"two"' not in said:
        said += os.read(reading, 4096)
    os.close(reading)

    child.send_signal(signal.SIGHUP)

    assert 0 == child.wait(timeout=patient(5))
    pids = [json.loads(line)["pid"] for line in said.splitlines() if line.startswith(b'{"process"')]
    assert 4 == len(pids)
    assert not any(map(lives, pids))


@pytest.mark.slow
def test_two_copies_with_other_folders_and_ports_run_side_by_side(start: Start) -> None:
    first, second = start("first").wait_for("one"), start("second").wait_for("one")

    with redis_of(first) as redis, redis_of(second) as other:
        redis.set("mine", "1")
        assert other.get("mine") is None
    assert first.child.poll() is second.child.poll() is None


@pytest.mark.slow
def test_a_second_copy_for_the_same_folder_is_refused_with_the_pid_of_the_first(start: Start) -> None:
    first = start().wait_for("one")

    second = start(folder="second", STATE_DIR=str(first.state))

    assert f"already running with STATE_DIR {first.state}, pid {first.child.pid}" in second.refused()
    assert lives(first.pid("redis"))


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["WEB_PORT", "FLOWER_PORT"])
def test_a_port_in_use_is_named_with_the_variable_to_change(start: Start, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert f"port {port} is in use; choose another one with {variable}" in start(**{variable: port}).refused()


def test_one_port_for_two_processes_is_refused(start: Start) -> None:
    port = str(free_ports(1)[0])

    assert "choose another one with FLOWER_PORT" in start(WEB_PORT=port, FLOWER_PORT=port).refused()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"REDIS_URL": "redis://:canary@127.0.0.1:1/0"}, "no answer from redis://127.0.0.1:1 (Connection refused)"),
        ({"REDIS_URL": "http://127.0.0.1"}, "REDIS_URL must start with redis://"),
        ({"WEB_PORT": "many"}, "WEB_PORT='many' is not a port"),
        ({"STATE_DIR": "/dev/null/state"}, "/dev/null is a file; write the path of a folder"),
    ],
)
def test_a_setting_that_cannot_work_is_reported_in_one_line(start: Start, given: dict[str, str], said: str) -> None:
    line = start(**given).refused()

    assert said in line
    assert "canary" not in line


@pytest.mark.slow
def test_a_given_server_is_used_and_none_is_started(start: Start) -> None:
    first = start("first").wait_for("one")
    second = start("second", REDIS_URL=settings.read({"STATE_DIR": str(first.state)}).redis_url).wait_for("one")

    assert [] == second.pids("redis")


@pytest.mark.slow
def test_processes_see_the_settings_and_our_programs_first(start: Start, tmp_path: Path) -> None:
    note = tmp_path / "environment"
    up = start(lines={"env": f"""sh -c 'env > {note}.part; mv {note}.part {note}; exec sleep 600'"""}, SMTP_URL=" ")
    until(note.exists)
    seen = dict(line.split("=", 1) for line in note.read_text().splitlines() if "=" in line)

    assert str(up.state) == seen["STATE_DIR"]
    assert str(Path(sys.executable).parent) == seen["PATH"].split(":")[0]
    assert "1" == seen["PYTHONUNBUFFERED"]
    assert "SMTP_URL" not in seen


def test_the_addresses_are_shown_once_the_web_process_answers(start: Start) -> None:
    up = start(lines={"web": "python -m http.server --bind 127.0.0.1 $WEB_PORT"})
    address = f"http://127.0.0.1:{up.environment['WEB_PORT']}"

    until(lambda: any(event["event"] == "up" for event in up.events))

    (said,) = [event for event in up.events if event["event"] == "up"]
    assert (f"{address}/posts/", f"{address}/feed.xml") == (said["posts"], said["feed"])
    assert f"http://127.0.0.1:{up.environment['FLOWER_PORT']}/" == said["flower"]
    assert said["status"].endswith("gatehouse status")


@pytest.mark.slow
def test_the_addresses_are_shown_with_a_warning_when_the_web_process_does_not_answer(start: Start) -> None:
    driver = "import sys\nfrom deploy import up\nup.ANNOUNCE_SECONDS = 0.5\nsys.exit(up.main())"
    up = start(lines={"web": SLEEPER}, driver=driver)

    until(lambda: any(event["event"] == "up" for event in up.events))

    [warning] = [event for event in up.events if event["level"] == "warning"]
    assert warning["event"] == f"http://127.0.0.1:{up.environment['WEB_PORT']} does not answer yet"


def test_stdout_has_only_json_lines(tmp_path: Path) -> None:
    talker = """sh -c 'echo trouble >&2; echo "{\\"event\\": \\"mine\\"}"; exec sleep 600'"""
    command, environment = configure(tmp_path, {"one": talker})
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, cwd=settings.ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)
    assert child.stdout
    said = [child.stdout.readline()]
    while '"mine"' not in said[-1]:
        said.append(child.stdout.readline())
    child.terminate()
    rest, errors = child.communicate(timeout=patient(8))

    assert all(json.loads(line)["event"] for line in [*said, *rest.splitlines()])
    assert "trouble" in errors


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_shows_readable_lines_with_the_name_of_their_process(tmp_path: Path, no_color: str) -> None:
    talker = """sh -c 'printf "format $LOG_FORMAT\\nhalf a line"'"""
    command, environment = configure(tmp_path, {"long-name": talker}, LOG_FORMAT="", NO_COLOR=no_color, TERM="xterm")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, cwd=settings.ROOT, env=environment, stdout=theirs, stderr=theirs)
    said = ""
    while "process died" not in said or "half a line" not in said:
        said += os.read(ours, 4096).decode()
    child.terminate()

    assert 0 == child.wait(timeout=patient(8))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert "  long-name  format json\r\n" in plain
    assert 0 < plain.find("  long-name  half a line\r\n") < plain.find("process died")
    assert "  up         long-name started\r\n" in plain
    assert ("\x1b[" in said) == (not no_color)
    kept = [json.loads(line) for line in (Path(environment["STATE_DIR"]) / "run" / "up.jsonl").read_text().splitlines()]
    assert {"event": "output", "process": "long-name", "line": "half a line"} in kept
    assert "process started" in [line["event"] for line in kept]
    for descriptor in (ours, theirs):
        os.close(descriptor)


@pytest.mark.slow
def test_the_addresses_come_last_and_complete_and_a_pipe_has_no_colours(start: Start) -> None:
    up = start(lines={"web": "python -m http.server --bind 127.0.0.1 $WEB_PORT"}, LOG_FORMAT="console")
    until(lambda: "Ctrl-C stops it" in up.said)
    lines = up.said.split("Gatehouse is up. Ctrl-C stops it.\n")[1].splitlines()
    shown = dict(line.split(None, 1) for line in lines if line.startswith("  ") and not line.startswith("  This"))

    address = f"http://127.0.0.1:{up.environment['WEB_PORT']}"
    assert (shown["posts"], shown["reports"]) == (f"{address}/posts/", f"{address}/reports/")
    assert shown["flower"].startswith(f"http://127.0.0.1:{up.environment['FLOWER_PORT']}/  user admin, password in /")
    assert shown["state"] == str(up.state / "agents")
    assert shown["log"] == str(up.state / "run" / "up.jsonl")
    assert "\x1b[" not in up.said
    assert up.said.count("superuser") == (os.geteuid() == 0)


def test_a_procfile_has_names_and_commands(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# all of it\n\nweb: serve --port ${PORT:-80}\n worker-2:run a:b\n")

    assert {"web": "serve --port ${PORT:-80}", "worker-2": "run a:b"} == procfile.read(path)


@pytest.mark.parametrize("text", ["web serve\n", "web:\n", "web: a\nweb: b\n", "# nothing\n", "web: \udcff\n", None])
def test_a_procfile_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "Procfile"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(procfile.ProcfileError, match="Procfile"):
        procfile.read(path)


def test_an_old_python_is_refused_in_one_line() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys; sys.version_info = (3, 10, 4); import deploy.up"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (1, "gatehouse: needs Python 3.11 or newer, this is 3.10\n") == (told.returncode, told.stderr)


@pytest.mark.slow
def test_at_rest_it_is_woken_once_a_second(start: Start) -> None:
    up = start().wait_for("one", "two")
    until(lambda: "does not answer yet" in up.said, 40)  # it looked often until then, because no web process runs
    began, before = time.monotonic(), psutil.Process(up.child.pid).num_ctx_switches().voluntary

    time.sleep(4)  # nothing is waited for: how often it is woken is counted

    woken = psutil.Process(up.child.pid).num_ctx_switches().voluntary - before
    assert woken / (time.monotonic() - began) < 5


def test_with_validate_a_mistake_in_a_table_starts_nothing(tmp_path: Path) -> None:
    command, environment = configure(tmp_path / "up", {"one": SLEEPER}, ALERT_URLS="nowhere")
    ended = subprocess.run(
        [*command, "--validate"], cwd=settings.ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert 1 == ended.returncode
    assert ended.stderr.startswith("gatehouse: ALERT_URLS")
    assert "process started" not in ended.stdout
