"""The command `gatehouse`: `gatehouse status` is `celery -A workers gate status`, about the installation that runs here."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import installation
from settings import ROOT, SettingsError


def main() -> None:
    """Find the running installation, and run one command about it."""
    is_checkout = (ROOT / "Procfile").exists()
    sys.path[0] = str(ROOT if is_checkout else Path.cwd())  # where Celery finds the tables and the modules of agents
    try:
        found = "" if "--help" in sys.argv or not sys.argv[1:] else installation.adopt()
        if found:
            sys.stderr.write(f"gatehouse: {found}\n")
        gc.disable()  # a tenth of the start: what is imported stays
        from workers.commands import gate  # noqa: PLC0415 - after the settings of the installation are known

        gc.enable()
        gate(prog_name="gatehouse")
    except SettingsError as error:
        sys.exit(f"gatehouse: {error}")


if __name__ == "__main__":
    main()
