"""The schedule: which task runs when. This table replaces the crontab.

`cron` is an expression of five fields as in crontab(5) (minute hour day month weekday), in the time zone below. `kwargs`
are the task's arguments. `missed` says what happens to times that passed while nothing ran: "latest" runs the newest one,
"all" runs each of the newest 24, "skip" runs none. `overlap` says what happens while the previous run has not ended:
"skip" leaves this run out, "queue" starts it afterwards; with "all" and "skip", missed times run side by side.
`deadline`, such as "2h", is how late a run may start; a run that is later is left out.
"""

timezone = "UTC"

schedule = {
    "publish": {"cron": "*/30 * * * *", "task": "tasks.publisher.publish_next", "missed": "latest", "overlap": "skip"},
    "analyse": {"cron": "0 6 * * *", "task": "tasks.analyst.collect", "missed": "latest", "overlap": "skip"},
    "report": {"cron": "30 6 * * *", "task": "tasks.reporter.report", "missed": "latest", "overlap": "skip"},
    "draft": {"cron": "0 7 * * *", "task": "tasks.writer.draft", "missed": "latest", "overlap": "skip"},
    "monitor": {"cron": "*/15 * * * *", "task": "tasks.monitor.check", "missed": "skip", "overlap": "skip"},
}
