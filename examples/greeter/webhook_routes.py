"""The row that greets a guest whom another program announces; add it to the table at the root of the project."""

sources = {
    "standard": {
        "scheme": "standard",
        "event": "body:type",
        "delivery": "header:webhook-id",
        "start": {
            "guest.arrived": {"task": "greeter.greet", "arguments": {"guest": "body:data.guest"}},
        },
    },
}
