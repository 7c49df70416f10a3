"""`python -m bench.celery_alone …`: Celery's command line as it is where Gatehouse is not installed.

Celery loads the commands that installed packages add. Ours imports the worker, and so changes Celery's transport for every
application that runs in this process.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

_FOREIGN = "celery.commands"
_all = metadata.entry_points


def _without_foreign(**wanted: Any) -> Any:
    return () if wanted.get("group") == _FOREIGN and wanted.keys() == {"group"} else _all(**wanted)


def main() -> None:
    """Run Celery's command line without the commands of other packages, but with Flower's."""
    metadata.entry_points = _without_foreign
    from celery.bin.celery import celery  # noqa: PLC0415 - it loads the commands when it is imported
    from flower.command import flower  # noqa: PLC0415 - it needs that one

    metadata.entry_points = _all
    celery.add_command(flower)
    sys.exit(celery(auto_envvar_prefix="CELERY"))


if __name__ == "__main__":
    main()
