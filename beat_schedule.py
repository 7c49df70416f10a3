"""The schedule: which task runs when. This table replaces the crontab.

`cron` reads as in crontab(5): minute hour day month weekday, in the time zone below. `kwargs` are arguments.
`missed` says what happens to times that passed while nothing ran: "latest" (run once), "all" (run each, the newest 24
of them) or "skip". `overlap` says what happens when the run before is not over: "skip" this one, or "queue" it until
then; with "all", missed times run side by side or, with "queue", one after the other. `deadline`, such as "2h", is how
late a run may begin; what is later is not made up for.
"""

timezone = "UTC"

schedule = {
    "publish": {"cron": "*/30 * * * *", "task": "tasks.publisher.publish_next", "missed": "latest", "overlap": "skip"},
    "analyse": {"cron": "0 6 * * *", "task": "tasks.analyst.collect", "missed": "latest", "overlap": "skip"},
    "report": {"cron": "30 6 * * *", "task": "tasks.reporter.report", "missed": "latest", "overlap": "skip"},
    "draft": {"cron": "0 7 * * *", "task": "tasks.writer.draft", "missed": "latest", "overlap": "skip"},
    "monitor": {"cron": "0 * * * *", "task": "tasks.monitor.check", "missed": "skip", "overlap": "skip"},
}
