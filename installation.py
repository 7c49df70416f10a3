"""The running installation that a command is about: found by its processes, so that nothing has to be exported.

One folder may run several installations, each with a STATE_DIR of its own. `make up` and systemd give their settings to
the processes, and a terminal has none of them. What the processes have counts also after a change of `.env`, which they
read when they start; the person is told of the change.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

import settings
from settings import ROOT, Settings, SettingsError

#: The settings that tell two installations apart.
STORES = ("STATE_DIR", "REDIS_URL", "BROKER_URL")
#: Variables of a terminal or of a program that started the installation, which say nothing about it.
_OF_TERMINALS = frozenset(
    {"COLUMNS", "FORCE_COLOR", "LANG", "LINES", "LOG_FORMAT", "LOG_LEVEL", "MFLAGS", "NO_COLOR", "OLDPWD", "PWD", "PYTHONPATH", "SHLVL", "TERM", "TZ", "_"}
)  # fmt: skip
_OF_SESSIONS = ("CLICOLOR", "LC_", "MAKE", "SSH_", "XDG_")


class SeveralRun(SettingsError):
    """Raised when several installations run and nothing says which one is meant; names them and how to choose."""


@dataclass(frozen=True)
class Installation:
    """A running installation: one of its processes, that process's environment, and the settings in it."""

    name: str  #: what the process is, such as "make up"
    pid: int
    environ: Mapping[str, str]
    config: Settings
    since: float  #: when it started, in seconds since 1970


def adopt() -> str:
    """Take over the settings of the running installation that this terminal means; variables that are set here stay.

    Returns:
        What the person has to know, one sentence per line: which installation a command looks at, where that is not what
        the terminal and `.env` say by themselves, and which settings it has not taken yet; otherwise empty.

    Raises:
        SettingsError: a setting cannot be used, or several installations fit.

    """
    own = settings.read(settings.environment())
    chosen, others = _choose(own, list(_running()))
    if chosen is None:
        return ""
    for name, value in chosen.environ.items():
        if not os.environ.get(name, "").strip() and name not in _OF_TERMINALS and not name.startswith(_OF_SESSIONS):
            os.environ[name] = value
    _find_modules_where(chosen.environ.get("PYTHONPATH", "").split(os.pathsep))
    return "\n".join(filter(None, (_describe(own, chosen, others), _stale(chosen))))


def _stale(chosen: Installation) -> str:
    """Return a sentence about the settings that were changed in `.env` after the installation started."""
    file = ROOT / ".env"
    if not file.exists() or file.stat().st_mtime <= chosen.since:
        return ""
    now = settings.environment({})
    changed = [name for name, value in now.items() if value.strip() != chosen.environ.get(name, "").strip()]
    if not changed:
        return ""
    return (
        f"{chosen.name} has run since before {file} changed; restart it to use what is new there: {', '.join(changed)}"
    )


def running() -> Installation | None:
    """Return the installation that runs with the STATE_DIR of this process; None if none does."""
    folder = settings.current().state_dir
    return next((each for each in _running() if each.config.state_dir == folder), None)


def _find_modules_where(folders: Sequence[str]) -> None:
    """Add the folders of the installation's agents to those in which this process and its children find modules."""
    own = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    added = [folder for folder in folders if folder and folder not in own]
    if own or added:
        os.environ["PYTHONPATH"] = os.pathsep.join([*own, *added])
    sys.path[1:1] = [folder for folder in folders if folder and folder not in sys.path]


def _describe(own: Settings, chosen: Installation, others: Sequence[Installation]) -> str:
    same = all(
        getattr(own, name) == getattr(chosen.config, name) for name in ("state_dir", "redis_url", "task_modules")
    )
    if same and not others:
        return ""
    modules = f" TASK_MODULES={','.join(chosen.config.task_modules)}" if chosen.config.task_modules else ""
    more = "".join(f"; another one runs with {_named(each)}" for each in others)
    return f"looking at {_named(chosen)}{modules} ({chosen.name}, pid {chosen.pid}){more}"


def _named(each: Installation) -> str:
    return f"STATE_DIR={shlex.quote(str(each.config.state_dir))}"


def _choose(own: Settings, found: Sequence[Installation]) -> tuple[Installation | None, Sequence[Installation]]:
    """Return the installation that the terminal means, and those that run beside it."""
    exported = [name.lower() for name in STORES if os.environ.get(name, "").strip()]
    fitting = [each for each in found if all(getattr(each.config, name) == getattr(own, name) for name in exported)]
    at_home = [each for each in fitting if each.config.state_dir == own.state_dir]
    if len(fitting) > 1 and not at_home:
        choices = "\n".join(f"  {_named(each)} ({each.name}, pid {each.pid})" for each in fitting)
        raise SeveralRun(
            f"{len(fitting)} installations of {ROOT} run; write one of these before the command:\n{choices}"
        )
    chosen = next(iter(at_home or fitting), None)
    others = [each for each in fitting if each is not chosen] if chosen and not exported else []
    return chosen, others


def _running() -> Iterator[Installation]:
    """Yield the running installations of this folder, each once, as far as this user may look at their processes."""
    processes = sorted(_processes(), key=lambda each: (each[0] != "make up", each[1].pid))
    seen = set()
    for name, process in processes:
        try:
            environ = {name: value for name, value in _settled(process).environ().items() if value.strip()}
            config = settings.read(settings.environment(environ))
            since = process.create_time()
        except (psutil.Error, OSError, SettingsError):
            continue
        if config.state_dir not in seen:
            seen.add(config.state_dir)
            yield Installation(name, process.pid, environ, config, since)


def _settled(process: psutil.Process) -> psutil.Process:
    """Return the process that has the settings: `make up` read `.env` when it started, for the processes that it starts."""
    return next((child for child in process.children() if _name(child.cmdline())), process)


def _processes() -> Iterator[tuple[str, psutil.Process]]:
    for process in psutil.process_iter():
        try:
            name = _name(process.cmdline())
            if name and process.pid != os.getpid() and _is_trusted(process) and Path(process.cwd()) == ROOT:
                yield name, process
        except (psutil.Error, OSError):
            continue  # it has ended, or belongs to another user


def _is_trusted(process: psutil.Process) -> bool:
    """Return whether a process is of this user, or of the one who owns the code: others must not choose what root runs."""
    return process.uids().real in {os.getuid(), ROOT.stat().st_uid}


def _name(words: Sequence[str]) -> str:
    """Return what a process of an installation is, by its command line; empty for any other process."""
    if "deploy.up" in words:
        return "make up"
    if "web.app:app" in words:
        return "web"
    if "workers" in words and any(Path(word).name == "celery" for word in words):
        return next((name for name in ("worker", "beat", "flower") if name in words), "")
    return ""
