"""The Celery side of Gatehouse: `celery -A workers …` finds its application here."""

from gatekeeper.errors import PolicyError
from settings import SettingsError

try:
    from workers.application import app
except (SettingsError, PolicyError) as error:
    raise SystemExit(f"gatehouse: {error}") from None

__all__ = ["app"]
