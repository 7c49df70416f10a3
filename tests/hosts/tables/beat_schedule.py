"""Two entries of one minute, whose missed ticks are made up for: one for hosts whose clocks agree, one for others."""

timezone = "UTC"

_minutely = {"cron": "* * * * *", "task": "torturer.tickle", "missed": "all", "overlap": "skip"}
schedule = {"agree": _minutely, "apart": _minutely}
