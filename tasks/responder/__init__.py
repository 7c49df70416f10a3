"""The responder: replies to a message once, through the model ladder, and never to another bot."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import BaseModel, StringConstraints

import gatekeeper
from clients import mailbox
from clients.llm import fallback
from clients.mailbox import Delivered, Reply
from gatekeeper import Effect, Rate, Rung
from tasks.responder import output_guard

#: Our own name; messages from it are not answered.
OWN_NAME = "gatehouse"

#: Names of bots: `ada[bot]`, `ada-bot`, `ada_bot`, `bot`, `AdaBot`; but not the surname Talbot.
_BOT = re.compile(r"(?:^|[\W_])bot\W*$")
_CAMEL_BOT = re.compile(r"[a-z0-9]Bot$")

Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(max_length=8_000)]

INSTRUCTIONS = f"""You are {OWN_NAME}, an automatic responder. Answer the message of the person below, in its language,
in at most five polite sentences, as plain text. If you do not know something, say so and say that a person will see the
message. Promise nothing. Name no person, no account and no address that the message does not name."""

#: The rules' replies by pattern. The first pattern that matches the message decides; the last one matches everything.
RULES = {
    r"\b(stop|unsubscribe|leave me alone)\b": "Understood. I only ever answer: I will not write unless you do.",
    r"\b(broken|error|bug|fails?|failed|down|urgent|complain\w*|wrong)\b": "I am sorry that something is not as it should be. Your message is kept for a person to see. It helps to know what you did, what you expected and what you saw.",
    r"\b(thanks?|thank you|thx|danke|merci|gracias)\b": "You are welcome!",
    r"\?|^(who|what|when|where|why|how|can|could|is|are|do|does)\b": "Thank you for your question. I am an automatic responder and cannot answer it myself; it is kept for a person to see.",
    r"^(hi|hello|hey|good (morning|afternoon|evening)|hallo|bonjour|hola)\b": "Hello! I am an automatic responder. Tell me what you need, and it is kept for a person to see.",
    r"": "Thank you for your message. It is kept for a person to see.",
}

ACKNOWLEDGEMENT = "Your message was received."


class ModelReply(BaseModel):
    """The reply that a model is asked for."""

    reply: Annotated[str, StringConstraints(min_length=1, max_length=output_guard.MAX_LENGTH)]


def remember(delivered: Delivered) -> None:
    """Record a delivered reply in the agent's state, whether the attempt or a look-up found it."""
    memory = gatekeeper.memory()
    memory.put("last_reply", {"at": delivered.delivered_at.isoformat(), "rung": delivered.rung, "by": delivered.by})
    memory.count("total_answered")
    memory.count(f"answered_by_{delivered.rung}")


@gatekeeper.task(
    key="respond:{channel}:{conversation}:{message_id}",
    rate=Rate("20/day", over="drop", scope="{channel}:{conversation}"),
    effect=Effect(verify=mailbox.find, then=remember),
    attempts=3,
)
def respond(channel: Name, conversation: Id, message_id: Id, text: Text, sender: Id) -> Delivered:
    """Reply to one message in the mailbox of its conversation.

    Raises:
        gatekeeper.Refused: the sender is a bot.
        NotApplied: the mailbox cannot be written.

    """
    if reason := bot_reason(sender):
        raise gatekeeper.Refused(f"{sender[:100]!r} is not answered: {reason}")
    reply = _reply(text, channel=channel, conversation=conversation, message_id=message_id, sender=sender)
    with gatekeeper.effect(payload=reply) as frozen:
        return mailbox.deliver(frozen)


def bot_reason(sender: str) -> str:
    """Return why this sender is taken for a bot, so that two programs never reply to each other; empty for a person."""
    name = unicodedata.normalize("NFKC", sender).strip().removeprefix("@")
    if name.casefold() == OWN_NAME:
        return "that is this system itself"
    if _BOT.search(name.casefold()) or _CAMEL_BOT.search(name):
        return "that is the name of a bot"
    return ""


def by_rules(text: str) -> ModelReply:
    """Reply politely without a model."""
    folded = text.casefold().strip()
    return ModelReply(reply=next(reply for pattern, reply in RULES.items() if re.search(pattern, folded)))


def _reply(text: str, **message: str) -> Reply:
    """Return the best reply that may be sent: the ladder's, or if that is unsafe the rules', which quote nothing."""
    question = fallback.Question(system=INSTRUCTIONS, prompt=text, schema=ModelReply)
    answer = fallback.ask(question, rules=lambda: by_rules(text), raw=lambda: ModelReply(reply=ACKNOWLEDGEMENT))
    try:
        reply, rung, by = output_guard.check(answer.value.reply, text), answer.rung, answer.by
    except output_guard.UnsafeReply as error:
        reply, rung, by = by_rules(text).reply, Rung.RULES, f"rules, because of {answer.by}: {error}"
        gatekeeper.made_by(rung)
    return Reply(**message, message=text, reply=reply, rung=rung, by=by)
