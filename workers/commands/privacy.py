"""Finds settings and files of STATE_DIR that other users of this machine can read or change."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from settings import ROOT, Settings
from state import private

#: Permission bits of all other users: to write, and to do anything.
_OTHERS_WRITE, _OTHERS = 0o002, 0o007
_STICKY = stat.S_ISVTX


def leaks(config: Settings) -> Iterator[tuple[str, str]]:
    """Yield each problem in words, and the command that fixes it."""
    env = ROOT / ".env"
    if _mode(env) & _OTHERS and _holds_a_secret(env, config):
        yield f"every user of this machine can read {env}", f"chmod o= {_quoted(env)}"
    mode = _mode(config.state_dir)
    if mode & _OTHERS_WRITE and not mode & _STICKY:
        yield f"every user of this machine can write into {config.state_dir}", f"chmod o-w {_quoted(config.state_dir)}"
    kept = (config.agents_dir, config.journal_dir, config.run_dir, config.secrets_dir, config.state_dir / "mailbox")
    for folder in (*kept, config.content_dir / "drafts"):
        if private.is_open(_mode(folder)):
            yield f"other users of this machine can enter {folder}", f"chmod go= {_quoted(folder)}"


def _mode(path: Path) -> int:
    """Return the permission bits; 0 for a path that does not exist or that this user may not see."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _holds_a_secret(env: Path, config: Settings) -> bool:
    text = env.read_text(errors="replace")
    return any(secret in text for secret in config.secrets)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
