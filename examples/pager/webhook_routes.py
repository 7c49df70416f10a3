"""The row that sends a page for each alarm that another program raises; add it to the table at the root of the project."""

sources = {
    "standard": {
        "scheme": "standard",
        "event": "body:type",
        "delivery": "header:webhook-id",
        "start": {
            "alarm.raised": {"task": "pager.page", "arguments": {"alarm": "body:data.alarm", "text": "body:data.text"}},
        },
    },
}
