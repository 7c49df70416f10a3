"""Flower's configuration; `celery -A workers flower` reads it from this folder, each name being one of its options."""

import os

import settings

_chosen = settings.current()

address = "127.0.0.1"
port = _chosen.flower_port

#: A task takes 6 kB of Flower's memory: 12 MB in all, where its own default of 100 000 takes more than half a gigabyte.
max_tasks = 2000

if _chosen.desk_password:
    # A list, because Flower splits the text of FLOWER_BASIC_AUTH at commas, into passwords of their own.
    basic_auth = [f"admin:{_chosen.desk_password}"]
else:
    # Without this Flower's pages work and its API does not, which could then start no task.
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
