"""The Celery side of Gatehouse: `celery -A workers …` finds its application here."""

from workers.application import app

__all__ = ["app"]
