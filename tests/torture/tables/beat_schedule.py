"""One tick a minute, and each that was missed is made up for."""

timezone = "UTC"

schedule = {"each": {"cron": "* * * * *", "task": "torturer.tickle", "missed": "all", "overlap": "skip"}}
