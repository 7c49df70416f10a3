"""Some ticks a minute, and each that was missed is made up for."""

timezone = "UTC"

schedule = {
    name: {"cron": "* * * * *", "task": "torturer.tickle", "missed": "all", "overlap": "queue"}
    for name in ("first", "second", "third")
}
