"""What runs when: this table replaces the crontab.

`cron` reads as in crontab(5): minute hour day month weekday, in the time zone below. `missed` says what happens to
times that passed while nothing ran: "latest" (run once), "all" (run each, the newest 24 of them) or "skip".
`kwargs` are the task's arguments.
"""

timezone = "UTC"

schedule = {
    "publish": {"cron": "*/30 * * * *", "task": "tasks.publisher.publish_next", "missed": "latest"},
}
