"""The Celery side of Gatehouse: `celery -A workers …` finds its application here."""

from gatekeeper.tables.modules import BrokenModule
from settings import SettingsError

try:
    from workers.application import app
except (SettingsError, BrokenModule) as error:
    raise SystemExit(f"gatehouse: {error}") from None

__all__ = ["app"]
