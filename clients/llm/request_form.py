"""The form of a request: which parameters a server accepts beside the model and the messages.

Servers that speak OpenAI's chat completions differ in these parameters, and refuse a request that has one they do not
know. Such a request is sent again without the parameter. What a server refused is remembered as long as the process lives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from clients.llm.providers import Provider

#: Low, because a reply must match a schema.
TEMPERATURE = 0.2
#: Stands between the instructions and the prompt where both are one message.
NEXT_MESSAGE = "The next message begins here:"
#: Providers whose form is remembered; a process asks two or three.
MAX_KNOWN = 100

_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
#: How refusals name each parameter, in lower case and without spaces, underscores and quotation marks.
_SPELLINGS = {
    "response_format": ("responseformat", "jsonmode", "jsonobject", "responsemimetype", "grammar", "guideddecoding"),
    _LIMIT: (
        "maxtokens", "maxcompletiontokens", "maxnewtokens", "outputtokens", "numpredict",
        "inthecompletion", "forthecompletion", "messagesorcompletion",
    ),
    "temperature": ("temperature",),
    "system": (
        "systemrole", "rolesystem", "systemmessage", "systemprompt", "systeminstruction", "developerinstruction",
        "rolesmustalternate", "userandassistantroles",
    ),
}  # fmt: skip
#: Refusals of a parameter that they do not name.
_PARAMETER = r"(?:param|argument|field|propert|option|input)\w*"
_NAMELESS = re.compile(
    rf"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extra) (?:\w+ ){{0,2}}{_PARAMETER}"
    rf"|{_PARAMETER} (?:is |are )?not (?:supported|allowed|permitted|accepted)",
    re.IGNORECASE,
)
_USE_NEW_LIMIT = re.compile(rf"\b(use|try|with|is)\W+{_NEW_LIMIT}|{_NEW_LIMIT}\W+instead", re.IGNORECASE)
#: Statuses of a refused parameter. With the others here, servers also say different things, so the parameter must be named.
_REFUSALS, _AMBIGUOUS = {400, 422}, {200, 404, 500, 501}


@dataclass(frozen=True)
class RequestForm:
    """The optional parts of a request.

    Attributes:
        without: The parameters that are left out. Without `system`, the instructions stand before the prompt.
        limit: The parameter that holds the longest reply, in tokens.

    """

    without: frozenset[str] = frozenset()
    limit: str = _LIMIT

    def body(self, provider: Provider, system: str, prompt: str) -> dict[str, Any]:
        """Return the body of a request.

        Args:
            provider: Which model to ask.
            system: The instructions.
            prompt: The user message.

        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        if "system" in self.without:
            messages = [{"role": "user", "content": f"{system}\n\n{NEXT_MESSAGE}\n\n{prompt}"}]
        optional: dict[str, Any] = {"temperature": TEMPERATURE, _LIMIT: provider.max_tokens}
        if provider.json_mode:
            optional["response_format"] = {"type": "json_object"}
        kept = {name: value for name, value in optional.items() if name not in self.without}
        if _LIMIT in kept:
            kept[self.limit] = kept.pop(_LIMIT)
        return {"model": provider.model, "messages": messages, **kept}

    def instead(self, provider: Provider, status: int, refusal: str) -> RequestForm | None:
        """Return the form to ask with once more.

        Args:
            provider: Which model was asked.
            status: The status of the answer.
            refusal: The server's words.

        Returns:
            This form without what the server refuses, or with its replacement. None if the answer refuses nothing of it.

        """
        if status not in _REFUSALS | _AMBIGUOUS:
            return None
        squeezed = re.sub(r"[\W_]+", "", refusal.lower())
        sent = (_SPELLINGS.keys() if provider.json_mode else _SPELLINGS.keys() - {"response_format"}) - self.without
        named = {name for name in sent if any(spelling in squeezed for spelling in _SPELLINGS[name])}
        if not named and status in _REFUSALS and _NAMELESS.search(refusal):
            named = set(sent) - {"system"}
        limit = self.limit
        if _LIMIT in named and limit == _LIMIT and _USE_NEW_LIMIT.search(refusal):
            named, limit = named - {_LIMIT}, _NEW_LIMIT
        changed = replace(self, without=self.without | named, limit=limit)
        return None if changed == self else changed

    def describe(self, before: RequestForm | None = None) -> str:
        """Return what is left out or replaced, such as `without temperature`; only what `before` does not, if given."""
        given = before or RequestForm()
        words = [f"without {name}" for name in sorted(self.without - given.without)]
        return ", ".join([*words, *([f"with {self.limit}"] if self.limit != given.limit else [])])


def known(provider: Provider) -> RequestForm:
    """Return the form that the provider is known to accept."""
    return _known.get(provider.identity, RequestForm())


def remember(provider: Provider, form: RequestForm) -> None:
    """Remember the form of a request that the provider answered."""
    if form != known(provider):
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[provider.identity] = form


_known: dict[str, RequestForm] = {}
