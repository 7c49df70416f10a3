"""One source, whose deliveries strike."""

sources = {
    "torture": {
        "scheme": "github",
        "event": "body:kind",
        "delivery": "header:X-GitHub-Delivery",
        "rate": "100000/minute",
        "start": {"strike": {"task": "torturer.strike", "arguments": {"n": "body:n"}}},
    },
}
