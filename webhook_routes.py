"""The sources of webhooks, and the task that each event starts. Each source is served at `POST /hooks/SOURCE`.

A source is on as soon as WEBHOOK_SECRET_<SOURCE> is set; nothing is ever accepted unsigned. `scheme` says how it signs:
"standard" (Standard Webhooks), "github", or "hmac", which wants the name of its header as `signature`. `event` and
`delivery` say where the event's type and the delivery's id stand: "body:path.to.value", "header:Name", or several of
them in a list, which are joined by a dot. `rate` is how much may come in ("300/minute" if it is missing).

`start` leads from an event to its task and that task's arguments; "text:…" is a fixed text. The id of a delivery is the
identity of its call: the same delivery starts nothing twice.
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
