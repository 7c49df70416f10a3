"""The row that runs the greeter every morning; add it to the table at the root of the project."""

timezone = "UTC"

schedule = {
    "greet": {"cron": "0 9 * * *", "task": "greeter.greet_all"},
}
