"""The sources of webhooks, and the task that each event starts. Each source is served at `POST /hooks/SOURCE`.

A source is enabled as soon as WEBHOOK_SECRET_<SOURCE> is set; unsigned requests are never accepted. `scheme` is how the
source signs: "standard" (Standard Webhooks), "github", or "hmac", which needs the name of its header as `signature`.
`event` and `delivery` say where the event's type and the delivery's id are: "body:path.to.value", "header:Name", or a
list of these, joined by a dot. `rate` limits the requests ("300/minute" by default).

`start` maps each event to a task and its arguments; "text:…" is a fixed text. The delivery's id becomes the id of the
call, so a repeated delivery starts nothing.
"""

sources = {
    "standard": {
        "scheme": "standard",
        "event": "body:type",
        "delivery": "header:webhook-id",
        "start": {
            "message.created": {
                "task": "tasks.responder.respond",
                "arguments": {
                    "channel": "body:data.channel",
                    "conversation": "body:data.conversation",
                    "message_id": "body:data.message_id",
                    "text": "body:data.text",
                    "sender": "body:data.sender",
                },
            },
        },
    },
    "github": {
        "scheme": "github",
        "event": ["header:X-GitHub-Event", "body:action"],
        "delivery": "header:X-GitHub-Delivery",
        "start": {},
    },
}
