"""Each scheme accepts what its sender signs and nothing else; every other input is BadSignature, never another error."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from tests import senders
from tests.harness import patient
from web.webhooks.signatures import SCHEMES
from web.webhooks.signed import TOLERANCE_SECONDS, BadSecret, BadSignature, Signed
from web.webhooks.standard_webhooks import key as standard_key

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = b'{"type": "message.created", "data": {"text": "gr\xc3\xbc\xc3\x9f"}}'
NOW = 1_795_343_175

STANDARD = senders.standard(SECRET, BODY, "msg_1", NOW)
SIGNATURE = STANDARD["webhook-signature"]


def verify(
    scheme: str, headers: dict[str, str], body: bytes = BODY, *secrets: str, now: float = NOW
) -> Mapping[str, str]:
    keys = tuple(SCHEMES[scheme].key(secret) for secret in secrets or (SECRET,))
    return SCHEMES[scheme].verify(Signed(Headers(headers), body, keys, "X-Signature", now))


# Accepted


def test_a_delivery_signed_by_the_library_of_standard_webhooks_is_accepted() -> None:
    verify("standard", STANDARD)


def test_one_good_signature_among_others_is_enough() -> None:
    several = f"v1a,AAAA v1,{'A' * 43}= nonsense v1 , {SIGNATURE}"

    verify("standard", {**STANDARD, "webhook-signature": several})


@pytest.mark.parametrize("scheme", ["standard", "github", "hmac"])
def test_each_of_several_secrets_may_sign_while_one_is_exchanged(scheme: str) -> None:
    for secret in (SECRET, OTHER):
        signed = {
            "standard": senders.standard(secret, BODY, "msg_1", NOW),
            "github": senders.github(secret, BODY, "d1"),
            "hmac": senders.generic(secret, BODY),
        }[scheme]

        verify(scheme, signed, BODY, OTHER, SECRET)


def test_a_secret_may_lack_its_padding_as_some_senders_show_it() -> None:
    assert standard_key(SECRET.rstrip("=")) == standard_key(SECRET) == b"k" * 32


def test_the_generic_scheme_takes_hex_in_either_case_and_with_the_name_of_the_digest() -> None:
    signature = senders.generic("s", BODY)["X-Signature"]

    for given in (signature, signature.upper(), f"sha256={signature}"):
        verify("hmac", {"X-Signature": given}, BODY, "s")


def test_github_accepts_what_its_documentation_gives_as_an_example() -> None:
    example = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    verify("github", {"X-Hub-Signature-256": example}, b"Hello, World!", "It's a Secret to Everybody")


def test_github_accepts_what_its_own_library_signs() -> None:
    """Runs where NODE_PATH leads to @octokit/webhooks-methods."""
    library = Path(os.environ.get("NODE_PATH", "")) / "@octokit" / "webhooks-methods" / "dist-node" / "index.js"
    if not shutil.which("node") or not library.is_file():
        pytest.skip("no node, or no @octokit/webhooks-methods in NODE_PATH")
    code = "const m = await import(process.argv[1]); console.log(await m.sign(process.argv[2], process.argv[3]))"

    command = ["node", "--input-type=module", "-e", code, str(library), "s", BODY.decode()]
    signed = subprocess.run(command, capture_output=True, text=True, timeout=patient(20), check=True).stdout.strip()

    verify("github", {"X-Hub-Signature-256": signed}, BODY, "s")


# Two names of each header

SVIX = {name.replace("webhook-", "svix-"): value for name, value in STANDARD.items()}
FORGED = {"webhook-id": "msg_2", "webhook-timestamp": str(NOW)}


def test_a_delivery_signed_by_the_library_of_svix_is_accepted_and_has_both_names() -> None:
    headers = verify("standard", senders.svix(SECRET, BODY, "msg_1", NOW))

    assert (headers["webhook-id"], headers["svix-id"], headers["content-type"]) == (
        "msg_1",
        "msg_1",
        "application/json",
    )


@pytest.mark.parametrize(
    "more",
    [
        {"webhook-id": "msg_2"},
        FORGED,
        {**FORGED, "webhook-signature": SIGNATURE},
        {**FORGED, "webhook-signature": ""},
        {"Webhook-Id": "msg_2"},
    ],
    ids=str,
)
def test_an_id_of_the_other_name_that_nobody_signed_is_not_the_id(more: dict[str, str]) -> None:
    headers = verify("standard", {**SVIX, **more})

    assert (headers["webhook-id"], headers["svix-id"]) == ("msg_1", "msg_1")


def test_one_good_signature_of_two_names_is_enough_and_its_id_counts() -> None:
    broken = {**SVIX, "svix-id": "msg_2"}

    assert verify("standard", {**STANDARD, **broken})["svix-id"] == "msg_1"
    assert verify("standard", {**SVIX, **STANDARD, "webhook-id": "msg_2"})["webhook-id"] == "msg_1"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "there is no header webhook-id"),
        ({"svix-id": "msg_1"}, "there is no header svix-timestamp"),
        ({**SVIX, "svix-timestamp": ""}, "there is no header svix-timestamp"),
        ({**SVIX, "svix-signature": ""}, "there is no header svix-signature"),
        ({**SVIX, "svix-signature": "v1a,AAAA"}, "svix-signature has no signature of version v1"),
        ({**SVIX, "svix-timestamp": "soon"}, "svix-timestamp is not a number of seconds"),
        ({**SVIX, "svix-timestamp": f"{NOW - 301}"}, "svix-timestamp is more than 300 seconds away"),
        ({**SVIX, "svix-id": "a.b"}, "svix-id contains a dot"),
        ({**SVIX, "svix-id": "msg_2"}, "no signature in svix-signature was made from this body with a known secret"),
        ({"webhook-id": "msg_1", "svix-timestamp": str(NOW), "svix-signature": SIGNATURE}, "there is no header svix-id"),
        ({"svix-id": "msg_1", "svix-timestamp": str(NOW), "webhook-signature": SIGNATURE}, "there is no header webhook-id"),
        ({**STANDARD, "webhook-timestamp": "", "svix-timestamp": str(NOW)}, "there is no header webhook-timestamp"),
    ],
)  # fmt: skip
def test_names_are_never_mixed_and_a_refusal_names_the_header_at_fault(headers: dict[str, str], why: str) -> None:
    with pytest.raises(BadSignature) as refused:
        verify("standard", headers)

    assert str(refused.value).startswith(why)


# Time


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, -1, 0, 1, TOLERANCE_SECONDS])
def test_a_time_within_the_tolerance_is_accepted_and_so_is_its_very_edge(seconds: int) -> None:
    verify("standard", senders.standard(SECRET, BODY, "msg_1", NOW + seconds))


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, -86_400])
def test_a_time_outside_the_tolerance_is_refused_though_the_signature_is_good(seconds: int) -> None:
    with pytest.raises(BadSignature, match="300 seconds away"):
        verify("standard", senders.standard(SECRET, BODY, "msg_1", NOW + seconds))


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "+1795343175", "1795343175.0", "1795343175000", "１７９５３４３１７５", " "]
)
def test_a_time_that_is_not_a_number_of_seconds_is_refused(text: str) -> None:
    headers = {**STANDARD, "webhook-timestamp": text.encode().decode("latin-1")}

    with pytest.raises(BadSignature, match="webhook-timestamp"):
        verify("standard", headers)


def test_the_clock_is_that_of_this_machine_unless_one_is_given() -> None:
    assert abs(Signed({}, b"", ()).now - time.time()) < 5


# Refused


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": ""},
        {"webhook-signature": SIGNATURE[:-4]},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": SIGNATURE.replace("v1,", "")},
        {"webhook-signature": SIGNATURE.replace("v1,", "v1,,")},
        {"webhook-signature": "abc"},
        {"webhook-signature": "v1,*** not base64 ***"},
        {"webhook-signature": "v1,gr\u00fc\u00df"},
        {"webhook-signature": senders.standard(OTHER, BODY, "msg_1", NOW)["webhook-signature"]},
        {"webhook-signature": senders.standard(SECRET, BODY, "msg_2", NOW)["webhook-signature"]},
        {"webhook-signature": senders.standard(SECRET, BODY + b" ", "msg_1", NOW)["webhook-signature"]},
        {"webhook-id": ""},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW + 1)},
    ],
    ids=str,
)
def test_a_standard_delivery_that_was_changed_anywhere_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify("standard", {**STANDARD, **changed})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_standard_delivery_without_one_of_its_headers_is_refused_by_name(name: str) -> None:
    headers = {given: value for given, value in STANDARD.items() if given != name}

    with pytest.raises(BadSignature, match=name):
        verify("standard", headers)


def test_an_id_with_a_dot_is_refused_because_it_could_be_read_in_two_ways() -> None:
    with pytest.raises(BadSignature, match="dot"):
        verify("standard", senders.standard(SECRET, BODY, "msg.1", NOW))


def test_a_body_that_was_serialised_again_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify("standard", STANDARD, BODY.replace(b'": "', b'":"'))


GOOD = senders.github("s", BODY, "d1")["X-Hub-Signature-256"]


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        GOOD[:-1],
        GOOD.removeprefix("sha256="),
        GOOD.replace("sha256=", "sha1="),
        "sha256=zz",
        "gr\u00fc\u00df",
    ],
)
def test_a_github_signature_that_is_not_whole_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        verify("github", {"X-Hub-Signature-256": signature}, BODY, "s")


@pytest.mark.parametrize("signature", ["", "sha256=", "zz", "gr\u00fc\u00df", GOOD[:-1], "0" * 64])
def test_a_generic_signature_that_is_not_whole_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        verify("hmac", {"X-Signature": signature}, BODY, "s")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_a_key_no_signature_is_accepted(scheme: str) -> None:
    every = {
        **STANDARD,
        **senders.github("", BODY, "d1"),
        **senders.generic("", BODY),
        **senders.stripe("", BODY, NOW),
        **senders.slack("s", BODY, NOW),
        **senders.telegram("s"),
    }

    with pytest.raises(BadSignature):
        SCHEMES[scheme].verify(Signed(Headers(every), BODY, (), "X-Signature", NOW))


@pytest.mark.parametrize("text", ["", "whsec_", "plain", "whsec_***", "whsec_a", base64.b64encode(b"k" * 32).decode()])
def test_a_text_that_is_not_a_whsec_secret_has_no_key(text: str) -> None:
    with pytest.raises(BadSecret, match="whsec_"):
        standard_key(text)


def test_no_error_contains_a_secret_or_a_valid_signature() -> None:
    for scheme, headers in (
        ("standard", {**STANDARD, "webhook-signature": "v1,AAAA"}),
        ("github", {"X-Hub-Signature-256": "x"}),
    ):
        with pytest.raises(BadSignature) as refused:
            verify(scheme, headers)
        assert SECRET not in str(refused.value)
        assert SIGNATURE not in str(refused.value)
