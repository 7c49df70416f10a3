"""A worker warns of what a person can act on."""

from __future__ import annotations

import warnings

from celery.exceptions import CPendingDeprecationWarning
from celery.signals import worker_ready

import workers.application  # noqa: F401 - connects the signals


def test_a_worker_is_silent_about_what_celery_may_change_one_day() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.filterwarnings("always", category=CPendingDeprecationWarning)  # as Celery does when it starts
        worker_ready.send(sender=None)
        warnings.warn("in its next version", CPendingDeprecationWarning, stacklevel=1)

    assert told == []
