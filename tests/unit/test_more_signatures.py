"""Stripe, Slack, Telegram and private keys of Standard Webhooks: what their senders sign is accepted, nothing else is."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest
import stripe
from slack_sdk.signature import SignatureVerifier
from starlette.datastructures import Headers

from tests import senders
from web.webhooks import standard_webhooks
from web.webhooks.signatures import SCHEMES, slack_challenge
from web.webhooks.signed import TOLERANCE_SECONDS, BadSecret, BadSignature, Signed

BODY = '{"id": "evt_1", "type": "invoice.paid", "text": "gr\u00fc\u00df \U0001f600"}'.encode()
NOW = 1_795_343_175
SECRET, OTHER = "whsec_not-base64-and-long", "another-secret"

PRIVATE, PUBLIC = senders.private_key(), senders.public_secret(senders.private_key())

SIGNATURE_HEADERS = {
    "stripe": "Stripe-Signature",
    "slack": "X-Slack-Signature",
    "telegram": "X-Telegram-Bot-Api-Secret-Token",
}


def sign(scheme: str, secret: str = SECRET, body: bytes = BODY, at: int = NOW) -> dict[str, str]:
    match scheme:
        case "stripe":
            return senders.stripe(secret, body, at)
        case "slack":
            return senders.slack(secret, body, at)
        case "telegram":
            return senders.telegram(secret)
    return senders.standard_private(PRIVATE, body, "msg_1", at)


def verify(scheme: str, headers: Mapping[str, str] | Headers, *secrets: str, body: bytes = BODY) -> Mapping[str, str]:
    keys = tuple(SCHEMES[scheme].key(secret) for secret in secrets or (SECRET,))
    given = headers if isinstance(headers, Headers) else Headers(headers)
    return SCHEMES[scheme].verify(Signed(given, body, keys, now=NOW))


def refusal(scheme: str, headers: Mapping[str, str], *secrets: str, body: bytes = BODY) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(scheme, headers, *secrets, body=body)
    return str(refused.value)


# What every new scheme accepts and refuses


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
def test_what_the_sender_signs_is_accepted_with_each_of_several_secrets(scheme: str) -> None:
    for secret in (SECRET, OTHER):
        verify(scheme, sign(scheme, secret), OTHER, SECRET)


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
def test_another_secret_is_refused_and_the_header_is_named(scheme: str) -> None:
    why = refusal(scheme, sign(scheme, "wrong"))

    assert why == f"no signature in {SIGNATURE_HEADERS[scheme]} was made from this body with a known secret"


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
def test_a_missing_or_empty_header_is_named(scheme: str) -> None:
    name = SIGNATURE_HEADERS[scheme]
    without = {key: value for key, value in sign(scheme).items() if key != name}

    assert refusal(scheme, without) == refusal(scheme, {**without, name: ""}) == f"there is no header {name}"


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
def test_a_header_that_comes_twice_is_refused_although_one_is_good(scheme: str) -> None:
    name = SIGNATURE_HEADERS[scheme].lower().encode()
    good = [(key.lower().encode(), value.encode()) for key, value in sign(scheme).items()]

    for more in (b"forged", dict(good)[name]):
        headers = Headers(raw=[*good, (name, more)])
        assert refusal(scheme, headers) == f"there are 2 headers {SIGNATURE_HEADERS[scheme]}; send one"


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
@pytest.mark.parametrize(
    "value", ["gr\u00fc\u00df", "\u00ff" * 500, "=", ",", "t=,v1=", "v0=", "v1=" * 9_000, " ", "%s"]
)
def test_a_strange_signature_is_refused_and_nothing_else_happens(scheme: str, value: str) -> None:
    refusal(scheme, {**sign(scheme), SIGNATURE_HEADERS[scheme]: value})


@pytest.mark.parametrize("scheme", ["stripe", "slack"])
@pytest.mark.parametrize(
    "body", [BODY + b" ", BODY[:-1], b"", b"\xff\xfe", BODY * 20_000], ids=lambda body: str(len(body))
)
def test_another_body_is_refused_be_it_empty_or_large(scheme: str, body: bytes) -> None:
    refusal(scheme, sign(scheme), body=body)


@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard"])
@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_a_time_within_the_tolerance_is_accepted(scheme: str, seconds: int) -> None:
    verify(scheme, sign(scheme, at=NOW + seconds), PUBLIC if scheme == "standard" else SECRET)


@pytest.mark.parametrize("scheme", ["stripe", "slack", "standard"])
@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, -NOW])
def test_an_old_or_early_time_is_refused_though_the_signature_is_good(scheme: str, seconds: int) -> None:
    why = refusal(scheme, sign(scheme, at=NOW + seconds), PUBLIC if scheme == "standard" else SECRET)

    assert "more than 300 seconds away from this machine's clock" in why


@pytest.mark.parametrize("scheme", SIGNATURE_HEADERS)
def test_no_refusal_has_a_secret_or_a_valid_signature_in_it(scheme: str) -> None:
    good = sign(scheme)[SIGNATURE_HEADERS[scheme]]

    for why in (refusal(scheme, sign(scheme, "wrong")), refusal(scheme, {})):
        assert SECRET not in why
        assert good[-20:] not in why


# Stripe


def test_stripe_reads_what_its_own_library_would() -> None:
    header = sign("stripe")["Stripe-Signature"]

    event = stripe.Webhook.construct_event(BODY, header, SECRET, tolerance=10**9)

    assert event.id == "evt_1"
    verify("stripe", {"Stripe-Signature": header})


def test_stripe_takes_one_good_signature_of_several_and_ignores_other_versions() -> None:
    good = sign("stripe")["Stripe-Signature"]
    old = sign("stripe", OTHER)["Stripe-Signature"].partition(",")[2]

    verify("stripe", {"Stripe-Signature": f"{good},{old},v0=abc"})
    verify("stripe", {"Stripe-Signature": f"{good.partition(',')[0]}, {old} , {good.partition(',')[2]}"})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda good: good.replace("v1=", "v0="), "Stripe-Signature has no signature of version v1"),
        (lambda good: good.partition(",")[2], "Stripe-Signature has no time (t=…), or several"),
        (lambda good: f"t={NOW},{good}", "Stripe-Signature has no time (t=…), or several"),
        (lambda good: good.replace("t=", "t=+"), "t in Stripe-Signature is not a number of seconds since 1970"),
        (lambda good: good.replace(f"t={NOW}", f"t={NOW}000"), "t in Stripe-Signature is not a number of seconds"),
        (lambda good: good.replace(f"t={NOW}", f"t={NOW + 1}"), "no signature in Stripe-Signature was made"),
    ],
)
def test_a_changed_stripe_signature_is_refused_with_what_is_wrong(changed: Callable[[str], str], why: str) -> None:
    header = changed(sign("stripe")["Stripe-Signature"])

    assert refusal("stripe", {"Stripe-Signature": header}).startswith(why)


# Slack


def test_slack_reads_what_its_own_library_would() -> None:
    headers = sign("slack")

    class Then:
        def now(self) -> float:
            return NOW

    assert SignatureVerifier(SECRET, Then()).is_valid_request(BODY, headers)  # type: ignore[arg-type]
    verify("slack", headers)


def test_slack_needs_the_time_that_was_signed() -> None:
    headers = sign("slack")

    assert (
        refusal("slack", {**headers, "X-Slack-Request-Timestamp": ""}) == "there is no header X-Slack-Request-Timestamp"
    )
    assert "no signature in X-Slack-Signature" in refusal(
        "slack", {**headers, "X-Slack-Request-Timestamp": str(NOW + 1)}
    )


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"type": "url_verification", "challenge": "3eZb"}, {"challenge": "3eZb"}),
        ({"type": "url_verification"}, None),
        ({"type": "url_verification", "challenge": ""}, None),
        ({"type": "url_verification", "challenge": 7}, None),
        ({"type": "url_verification", "challenge": "x" * 501}, None),
        ({"type": "event_callback", "challenge": "3eZb"}, None),
        ({}, None),
    ],
)
def test_only_a_verification_of_the_address_is_answered_with_its_challenge(
    content: dict[str, object], answer: dict[str, str] | None
) -> None:
    assert slack_challenge(content) == answer


# Telegram


@pytest.mark.parametrize("text", ["", "with space", "gr\u00fc\u00df", "a.b", "x" * 257, "a\n"])
def test_a_secret_that_telegram_would_not_take_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(BadSecret, match="secret_token"):
        SCHEMES["telegram"].key(text)


# Standard Webhooks with a private key


def test_a_delivery_signed_with_a_private_key_is_accepted_by_its_public_key() -> None:
    headers = verify("standard", sign("standard"), PUBLIC)

    assert headers["svix-id"] == headers["webhook-id"] == "msg_1"


def test_shared_and_public_keys_of_one_source_work_side_by_side() -> None:
    shared = "whsec_" + base64.b64encode(b"k" * 32).decode()

    verify("standard", sign("standard"), shared, PUBLIC)
    verify("standard", senders.standard(shared, BODY, "msg_1", NOW), shared, PUBLIC)


def test_one_good_signature_of_a_private_key_among_others_is_enough_but_not_behind_hundreds() -> None:
    headers = sign("standard")
    good = headers["webhook-signature"]

    verify("standard", {**headers, "webhook-signature": f"v1,AAAA v1a,AAAA x {good}"}, PUBLIC)
    assert "no signature in webhook-signature" in refusal(
        "standard", {**headers, "webhook-signature": "v1a,AAAA " * 500 + good}, PUBLIC
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v1a,gr\u00fc\u00df"},
        {"webhook-signature": "v1a,"},
        {"webhook-signature": senders.standard_private(senders.private_key(b"q" * 32), BODY, "msg_1", NOW)["webhook-signature"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_delivery_of_a_private_key_that_was_changed_anywhere_is_refused(changed: dict[str, str]) -> None:
    refusal("standard", {**sign("standard"), **changed}, PUBLIC)


def test_a_version_for_which_there_is_no_key_is_named() -> None:
    shared = "whsec_" + base64.b64encode(b"k" * 32).decode()

    assert refusal("standard", senders.standard(shared, BODY, "msg_1", NOW), PUBLIC).endswith("of version v1a")
    assert refusal("standard", sign("standard"), shared).endswith("of version v1")


def test_the_public_key_as_text_is_not_a_shared_secret() -> None:
    """Whoever knows the public key could otherwise sign with it."""
    forged = senders.standard("whsec_" + PUBLIC.removeprefix("whpk_"), BODY, "msg_1", NOW)

    refusal("standard", forged, PUBLIC)
    refusal("standard", {**forged, "webhook-signature": f"{forged['webhook-signature']} v1a,AAAA"}, PUBLIC)


@pytest.mark.parametrize("text", ["whpk_", "whpk_AAAA", "whpk_***", "whsk_" + base64.b64encode(b"p" * 64).decode()])
def test_a_text_that_is_not_a_public_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadSecret) as refused:
        standard_webhooks.key(text)

    assert text not in str(refused.value) or text == "whpk_"


@pytest.mark.parametrize(("secret", "loaded"), [("whsec_" + "a2tr" * 8, False), (PUBLIC, True)])
def test_only_a_public_key_loads_the_library_of_keys(secret: str, loaded: bool) -> None:
    code = "import sys; from web.webhooks.signatures import SCHEMES; SCHEMES['standard'].key(sys.argv[1])"
    show = "; print('cryptography' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code + show, secret], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(loaded)
