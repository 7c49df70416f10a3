"""`python -m tests.torture.beat TABLE celery-arguments…`: celery with another schedule than the one that ships."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    """Load the table in place of the product's, and become celery."""
    path = Path(sys.argv.pop(1))
    spec = importlib.util.spec_from_file_location("beat_schedule", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["beat_schedule"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from celery.__main__ import main as celery

    sys.argv[0] = "celery"
    celery()


if __name__ == "__main__":
    main()
