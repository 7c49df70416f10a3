"""The sides that are measured, in the order of the table; each adapter describes its configuration."""

from __future__ import annotations

from bench.peers.speed.side import Side

CELERY = "celery --quiet -A {module} worker --concurrency 2 --without-mingle --without-gossip --loglevel warning"
#: redis-py with its parser in C, which Gatehouse has too.
REDIS = ("redis", "hiredis")
BASE = ("celery", *REDIS, "packaging")
LOCKED = "2 processes; plain Celery, and a lock of its own for each call"

#: Results are ignored, as on the other sides; the third side is the product as its Procfile starts it.
QUIET = {"GATEHOUSE_APP": "bench.gated"}
SHIPPED = {"GATEHOUSE_APP": "workers"}

GATEHOUSE = Side(
    "Gatehouse",
    "gatehouse",
    (),
    CELERY.replace("{module}", "bench.gated"),
    "2 processes; a task with a key, no task events",
    env=QUIET,
)
PLAIN = Side(
    "Celery, late acks",
    "celery_late",
    BASE,
    CELERY,
    "2 processes; `task_acks_late`, `task_ignore_result`, else its defaults: prefetch 4, no task events",
)

SIDES = (
    GATEHOUSE,
    Side(
        "Gatehouse, an effect",
        "gatehouse",
        (),
        GATEHOUSE.worker,
        "2 processes; a task with a key whose effect sends nothing: two records synced to the disk",
        "enqueue_effect",
        QUIET,
    ),
    Side(
        "Gatehouse, as it comes",
        "gatehouse",
        (),
        CELERY.replace("{module}", "workers").replace("--concurrency 2", "--pool threads --concurrency 8"),
        "1 process with 8 threads, as the Procfile starts it; results are stored; no Flower, so no task events",
        env=SHIPPED,
    ),
    PLAIN,
    Side("celery-singleton", "celery_singleton", (*BASE, "celery-singleton"), CELERY, LOCKED),
    Side("celery-once", "celery_once", (*BASE, "celery_once"), CELERY, LOCKED),
    Side(
        "celery-heimdall",
        "celery_heimdall",
        (*BASE, "celery-heimdall"),
        CELERY,
        f"{LOCKED}, kept for an hour; `unique_lock_blocking` off",
        env={"HEIMDALL_DOES_NOT_WAIT": "yes"},
    ),
    Side(
        "celery-heimdall, as it comes",
        "celery_heimdall",
        (*BASE, "celery-heimdall"),
        CELERY,
        "the same with its default: a task that begins waits a second for the lock that its own call holds",
        share=0.01,
    ),
    Side(
        "Huey",
        "huey",
        ("huey", *REDIS),
        "huey.bin.huey_consumer {module}.huey --workers 2 --worker-type process --quiet",
        "2 processes; its defaults, Redis",
    ),
    Side(
        "Dramatiq",
        "dramatiq",
        ("dramatiq", *REDIS),
        "dramatiq {module} --processes 2",
        "2 processes with 8 threads each, its default; Redis",
    ),
    Side(
        "Docket",
        "docket",
        ("pydocket", *REDIS),
        "docket worker --tasks {module}:tasks --url {url} --concurrency 50 --logging-level WARNING",
        "1 process with an event loop, 50 tasks at once as in its page on production; a key for each call",
    ),
    Side(
        "Taskiq",
        "taskiq",
        ("taskiq", "taskiq-redis", *REDIS),
        "taskiq worker {module}:broker --workers 2 --log-level WARNING",
        "2 processes with an event loop, its default; the broker on streams, which acknowledges",
    ),
    Side(
        "DBOS",
        "dbos",
        ("dbos",),
        "{module}",
        "1 process, SQLite; a workflow without a step on a queue without a limit",
        share=0.1,
    ),
    Side(
        "DBOS, a step",
        "dbos",
        ("dbos",),
        "{module}",
        "the same with one step",
        "enqueue_step",
        share=0.1,
    ),
)
