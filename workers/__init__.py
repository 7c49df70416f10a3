"""The Celery side of Gatehouse: `celery -A workers …` finds its application here."""

import traceback

from gatekeeper.errors import PolicyError
from settings import SettingsError

try:
    from workers.application import app
except SettingsError as error:
    raise SystemExit(f"gatehouse: {error}") from None
except PolicyError as error:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "gatekeeper" not in frame.filename]
    raise SystemExit(f"gatehouse: {frames[-1].filename}, line {frames[-1].lineno}: {error}") from None

__all__ = ["app"]
