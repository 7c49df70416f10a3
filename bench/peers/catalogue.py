"""The peers that are measured, in the order of the table; each adapter describes its configuration."""

from __future__ import annotations

from bench.peers.peer import Peer

CELERY = "celery --quiet -A {module} worker --concurrency {slots} --without-mingle --without-gossip --loglevel warning"
DRAMATIQ = "dramatiq {module} --processes 2 --threads {slots}"
BASE = ("celery", "redis", "packaging")

PEERS = (
    Peer(
        "Gatehouse",
        "gatehouse",
        (),
        CELERY.replace("{module}", "workers"),
        "`key=`, `effect=Effect()`, `attempts=4`; no `verify`, so an effect in doubt stays for a person",
    ),
    Peer(
        "Celery, as it comes",
        "celery_early",
        BASE,
        CELERY,
        "acknowledges before the task begins, its documented choice for tasks that must not run again",
    ),
    Peer(
        "Celery, late acks",
        "celery_late",
        BASE,
        CELERY,
        "`task_acks_late`, `worker_deduplicate_successful_tasks`, a visibility timeout longer than any task",
    ),
    Peer(
        "celery-singleton",
        "celery_singleton",
        (*BASE, "celery-singleton"),
        CELERY,
        "`base=Singleton` with `lock_expiry`, on Celery with late acks",
    ),
    Peer(
        "celery-once",
        "celery_once",
        (*BASE, "celery_once"),
        CELERY,
        "`base=QueueOnce` with its lock of an hour, on Celery with late acks",
        refuses=("AlreadyQueued",),
    ),
    Peer(
        "celery-heimdall",
        "celery_heimdall",
        (*BASE, "celery-heimdall"),
        CELERY,
        "`unique` with `unique_wait_for_expiry` and a lock of an hour, on Celery with late acks",
    ),
    Peer(
        "DBOS",
        "dbos",
        ("dbos",),
        "{module}",
        "the key is the workflow's id, the effect a step with retries; SQLite",
    ),
    Peer(
        "Huey",
        "huey",
        ("huey", "redis"),
        "huey.bin.huey_consumer {module}.huey --workers {slots} --worker-type process --health-check-interval 1",
        "the documented deduplication of equal calls, on Redis",
    ),
    Peer(
        "Dramatiq, as it comes",
        "dramatiq",
        ("dramatiq", "redis"),
        DRAMATIQ,
        "nothing against duplicates: its documentation asks for actors that may run again; on Redis",
    ),
    Peer(
        "Dramatiq, a mutex per key",
        "dramatiq_mutex",
        ("dramatiq", "redis"),
        DRAMATIQ,
        "the documented distributed mutex, its default life of 15 min; who does not get it steps back",
    ),
)
