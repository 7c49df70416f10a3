"""`python -m deploy.audit` (`make audit`): is a locked package known to be vulnerable? pip-audit asks its database.

The exit code is 0 if every package was looked up and none is known, 1 if one is, and 3 if not all could be looked up:
pip-audit itself calls that "no known vulnerabilities".
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from deploy import tools
from deploy.lock import LOCK
from state import terminal

CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3

#: Seconds. About fifty questions, a few at once.
MAX_SECONDS = 300


def main() -> int:
    """Ask, and say what was found."""
    code, words = verdict(*_ask())
    print(terminal.lines(words))
    return code


def verdict(said: str, trouble: str) -> tuple[int, str]:
    """The exit code and the words for pip-audit's JSON; `trouble` is what it wrote beside it."""
    try:
        packages: list[dict[str, Any]] = json.loads(said)["dependencies"] or []
    except (ValueError, KeyError, TypeError):
        packages = []
    found = [
        f"  {package['name']} {package['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    skipped = [package for package in packages if "vulns" not in package]
    if found:
        return VULNERABLE, "\n".join(
            [f"audit: {len(found)} known vulnerabilities; upgrade with: make lock UPGRADE=1", *found]
        )
    if skipped or not packages:
        why = (skipped[0].get("skip_reason", "") if skipped else trouble.strip().rpartition("\n")[2]) or "no answer"
        return NOT_CHECKED, f"audit: NOT CHECKED, {len(skipped) or 'all'} packages could not be looked up ({why})"
    return CLEAN, f"audit: {len(packages)} packages were looked up, none is known to be vulnerable"


def _ask() -> tuple[str, str]:
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--requirement"]
    try:
        program = tools.program("pip-audit")
        done = subprocess.run(
            [program, *options, LOCK], capture_output=True, text=True, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {MAX_SECONDS} s"
    except (OSError, tools.ToolMissing) as error:
        return "", str(error)
    return done.stdout, done.stderr


if __name__ == "__main__":
    sys.exit(main())
