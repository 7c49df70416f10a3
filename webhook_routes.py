"""The sources of webhooks, and the task that each event starts. Each source is served at `POST /hooks/SOURCE`.

A source is enabled as soon as WEBHOOK_SECRET_<SOURCE> is set; unsigned requests are never accepted. `scheme` is how the
source signs: "standard" (Standard Webhooks), "github", "stripe", "slack", "telegram", or "hmac", which needs the name of
its header as `signature`. `event` and `delivery` say where the event's type and the delivery's id are:
"body:path.to.value", "header:Name", or a list of these, joined by a dot; "string:path" turns a number into text, and
"has:path" is the path itself if the body has it. `rate` limits the requests ("300/minute" by default).

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
    "stripe": {
        "scheme": "stripe",
        "event": "body:type",
        "delivery": "body:id",
        "start": {},
    },
    # "message" is a person's message: those of bots have a bot_id, and edits and the like a subtype.
    "slack": {
        "scheme": "slack",
        "event": ["body:event.type", "body:event.subtype", "body:event.bot_id"],
        "delivery": "body:event_id",
        "start": {
            "message": {
                "task": "tasks.responder.respond",
                "arguments": {
                    "channel": "text:slack",
                    "conversation": "body:event.channel",
                    "message_id": "body:event.ts",
                    "text": "body:event.text",
                    "sender": "body:event.user",
                },
            },
        },
    },
    # An update has no type. Each without a message's text, such as an edit or a photo, is "update", which starts nothing.
    "telegram": {
        "scheme": "telegram",
        "event": ["text:update", "has:message.text"],
        "delivery": "body:update_id",
        "start": {
            "update.message.text": {
                "task": "tasks.responder.respond",
                "arguments": {
                    "channel": "text:telegram",
                    "conversation": "string:message.chat.id",
                    "message_id": "string:message.message_id",
                    "text": "body:message.text",
                    "sender": "string:message.from.id",
                },
            },
        },
    },
}
