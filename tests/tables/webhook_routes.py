"""The routes of the tests: a source of each scheme, one without a secret, and tasks of the test agents."""

import runpy

from settings import ROOT

#: The rows that ship.
SHIPPED = runpy.run_path(str(ROOT / "webhook_routes.py"))["sources"]

RESPOND = {
    "task": "tasks.responder.respond",
    "arguments": {
        "channel": "body:data.channel",
        "conversation": "body:data.conversation",
        "message_id": "body:data.message_id",
        "text": "body:data.text",
        "sender": "body:data.sender",
    },
}

sources = {
    "standard": {
        "scheme": "standard",
        "event": "body:type",
        "delivery": "header:webhook-id",
        "rate": "100000/minute",
        "start": {"message.created": RESPOND},
    },
    "github": {
        "scheme": "github",
        "event": ["header:X-GitHub-Event", "body:action"],
        "delivery": "header:X-GitHub-Delivery",
        "rate": "100000/minute",
        "start": {
            "issues.opened": {
                "task": "tasks.responder.respond",
                "arguments": {
                    "channel": "text:github",
                    "conversation": "body:repository.name",
                    "message_id": "body:issue.id",
                    "text": "body:issue.body",
                    "sender": "body:issue.user.login",
                },
            },
            "push": {"task": "clerk.remember", "arguments": {"name": "body:name", "value": "body:value"}},
        },
    },
    "forge": {
        "scheme": "hmac",
        "signature": "X-Forge-Signature",
        "event": "body:kind",
        "delivery": "body:id",
        "rate": "100000/minute",
        "start": {"add": {"task": "counter.add", "arguments": {"a": "body:a", "b": "body:b"}}},
    },
    "slow": {
        "scheme": "github",
        "event": "body:kind",
        "delivery": "header:X-GitHub-Delivery",
        "rate": "5/minute",
        "start": {"add": {"task": "counter.add", "arguments": {"a": "text:1", "b": "text:2"}}},
    },
    "burst": {
        "scheme": "github",
        "event": "body:kind",
        "delivery": "header:X-GitHub-Delivery",
        "start": {"add": {"task": "counter.add", "arguments": {"a": "text:1", "b": "text:2"}}},
    },
    "silent": {
        "scheme": "github",
        "event": "body:kind",
        "delivery": "header:X-GitHub-Delivery",
        "start": {"add": {"task": "counter.add", "arguments": {"a": "text:1", "b": "text:2"}}},
    },
    "stripe": {
        **SHIPPED["stripe"],
        "start": {
            "invoice.paid": {
                "task": "clerk.remember",
                "arguments": {"name": "body:data.object.id", "value": "body:data.object.total"},
            },
        },
    },
    "slack": SHIPPED["slack"],
    "telegram": SHIPPED["telegram"],
}
