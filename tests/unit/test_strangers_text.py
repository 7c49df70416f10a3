"""What others wrote is parsed, decoded and rendered within limits, and never keeps a heartbeat from beating."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from clients.content import BrokenPost, excerpt
from clients.content.post import split
from clients.destinations import LookupInconclusive, Published, mastodon, sent_note
from clients.destinations.feed import Feed
from clients.sources import BrokenSource, Document
from clients.text import charsets, confined, feed, html, markdown, plain_text, source, strict_json
from gatekeeper import redact
from gatekeeper.errors import InvalidArguments, NotApplied
from gatekeeper.policies.key_template import Template
from tasks.analyst import analysis, timeseries
from tasks.responder import output_guard
from tasks.writer import feed_items, summary
from tests.unit.beat import Beat
from tests.unit.test_feed import a_post

pytestmark = pytest.mark.slow  # each text goes through a process of its own

#: Seconds. A heartbeat renews a lease of minutes; a regular expression that is quadratic holds it for a minute and more.
MAX_SILENCE = 5.0
#: Seconds of processor time for a megabyte in any function that runs in the worker itself.
LINEAR = 10.0

RSS = '<?xml version="1.0"?><rss version="2.0"><channel><item><title>t</title><link>https://a.example/b</link>{}</item></channel></rss>'


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of processor time instead of ten, so that what reaches the limit reaches it soon."""
    monkeypatch.setattr(confined, "CPU_SECONDS", 1.0)


# The child


def sleeps(text: str) -> str:
    time.sleep(60)
    return text


def spins(text: str) -> str:
    while text:
        pass
    return text


def grows(text: str) -> int:
    return len(text * (2 * confined.MAX_MEMORY))


def fails(text: str) -> str:
    raise ValueError(f"no good: {text}")


def answers_much(text: str) -> str:
    return text * (confined.MAX_RESULT + 1)


def environment(text: str) -> list[str]:
    return sorted(name for name in os.environ if text in name)


def test_a_function_answers_from_a_process_of_its_own() -> None:
    assert confined.call(html.plain, "<b>Grüße</b> 👋 \ud800 & more") == "Grüße 👋 & more"
    assert confined.call(len, b"\x00\xff") == 2


@pytest.mark.parametrize("costly", [spins, grows, answers_much])
def test_time_memory_and_answer_have_a_limit(costly: Callable[[str], Any], hasty: None) -> None:
    with pytest.raises(confined.LimitExceeded):
        confined.call(costly, "x")


def test_a_child_that_takes_no_processor_time_ends_too() -> None:
    with pytest.raises(confined.LimitExceeded, match=r"more than 1 seconds"):
        confined.call(sleeps, "x", wall=1)


def test_what_the_function_raises_is_told() -> None:
    with pytest.raises(confined.FunctionFailed, match="ValueError: no good: x"):
        confined.call(fails, "x")


def test_the_child_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "canary")

    assert confined.call(environment, "KEY") == []


@pytest.mark.parametrize("module", ["gatekeeper", "celery", "requests"])
def test_the_child_does_not_wait_for_modules_that_it_does_not_need(module: str) -> None:
    imports = "import sys; import clients.text.confined, clients.text.feed, clients.text.markdown; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True)

    assert module not in done.stdout.split()


# Feeds


@pytest.mark.parametrize(
    "field", ["<author>{}</author>", "<dc:creator xmlns:dc='http://purl.org/dc/elements/1.1/'>{}</dc:creator>"]
)
def test_a_feed_that_makes_its_parser_quadratic_holds_no_heartbeat(field: str, hasty: None) -> None:
    hostile = RSS.format(field.format("a@" + "a." * 50_000 + "!"))

    with Beat() as beat, pytest.raises(BrokenSource, match="unlike any ordinary feed"):
        feed_items.parse(Document("Strange", hostile.encode()))

    assert beat.longest_silence < MAX_SILENCE


@pytest.mark.parametrize("name", ["punycode", "utf-7", "nosuch"])
def test_a_feed_in_an_encoding_that_is_none_is_refused(name: str) -> None:
    document = RSS.format("").replace('version="1.0"', f'version="1.0" encoding="{name}"', 1)

    with pytest.raises(BrokenSource, match=f"encoding '{name}'"):
        feed_items.parse(Document("Strange", document.encode()))


@pytest.mark.parametrize("name", ["UTF-8", "ISO-8859-15", "Shift_JIS"])
def test_a_feed_in_an_encoding_of_the_web_is_read(name: str) -> None:
    document = RSS.format("").replace('version="1.0"', f'version="1.0" encoding="{name}"', 1)

    assert [item.title for item in feed_items.parse(Document("Known", document.encode())).parts] == ["t"]


def test_one_number_that_is_no_character_hides_no_feed() -> None:
    document = RSS.format(f"<description>&amp;#{'1' * 5_000}; and more</description>")

    (item,) = feed_items.parse(Document("Strange", document.encode())).parts

    assert "and more" in item.text


def test_entities_that_grow_are_not_unfolded(hasty: None) -> None:
    names = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a0 "ha">{names}]>' + RSS.format("").partition("?>")[
        2
    ].replace(">t<", ">&a11;<")

    with Beat() as beat:
        try:
            found = feed_items.parse(Document("Strange", bomb.encode())).parts
        except BrokenSource:
            found = []

    assert all(len(item.title) <= feed.MAX_TITLE + 1 for item in found)
    assert beat.longest_silence < MAX_SILENCE


# Markdown

COSTLY_MARKDOWN = {
    "table": "|".join(["a"] * 25_000) + "\n" + "|".join(["-"] * 25_000) + "\n" + "a\n" * 25_000,
    "quotes": ">" * 96_000,
    "quoted lines": (">" * 15 + "\n") * 6_000,
    "lists": "\n".join(" " * (2 * n) + "- a" for n in range(300)),
    "brackets": "[" * 100_000,
    "links": "[a](" * 25_000,
    "emphasis": "*a **a " * 14_000,
    "quotation marks": '"' * 100_000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "render"),
    [*((name, markdown.to_html) for name in COSTLY_MARKDOWN), ("table", markdown.links), ("table", plain_text.text_of)],
)
def test_markdown_is_rendered_within_the_limits_or_refused(
    name: str, render: Callable[[str], Any], hasty: None
) -> None:
    with Beat() as beat, suppress(markdown.RenderError):
        render(COSTLY_MARKDOWN[name])

    assert beat.longest_silence < MAX_SILENCE


def test_a_post_that_cannot_be_rendered_is_proven_unpublished(tmp_path: Any, hasty: None) -> None:
    post = a_post(body='"' * 300_000)  # half a minute's work, so a quick machine does not end it in time either

    with pytest.raises(NotApplied, match="Markdown cannot be rendered"):
        Feed(tmp_path, "http://127.0.0.1").publish(post)

    assert not list((tmp_path / "posts").iterdir())


def test_a_post_is_rendered_before_the_lock_of_the_feed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    feed, rendering, go_on = Feed(tmp_path, "http://127.0.0.1"), threading.Event(), threading.Event()
    real = markdown.to_html

    def slow(text: str, _base: str) -> str:
        if "slow" in text:
            rendering.set()
            assert go_on.wait(60)
        return real(text)

    monkeypatch.setattr(markdown, "to_html", slow)
    slowly = threading.Thread(target=feed.publish, args=[a_post("slow", body="slow")])
    slowly.start()
    assert rendering.wait(60)

    feed.publish(a_post("quick", body="quick"))  # does not wait for the other

    go_on.set()
    slowly.join(60)
    assert {path.stem for path in (tmp_path / "posts").iterdir()} == {"slow", "quick", "index"}


# Functions that run in the worker itself


def sentence_ends(text: str) -> int:
    return len(list(excerpt._SENTENCE.finditer(text)))


def bare_urls(text: str) -> int:
    return len(summary._BARE_URL.findall(text))


def analysis_links(text: str) -> int:
    return len(analysis._LINK.findall(text))


def sent_back(text: str) -> str:
    try:
        return output_guard.check(text, text)
    except output_guard.UnsafeReply as error:
        return str(error)


def answered(text: str) -> str:
    """A short answer to a long message."""
    try:
        return output_guard.check(text[:900], text)
    except output_guard.UnsafeReply as error:
        return str(error)


def compared(text: str) -> bool:
    noted = sent_note.SentNote(at="", account="", text=text, after="")
    found = Published(published_at=datetime(2026, 11, 1, tzinfo=UTC), url="https://a.example/1", id="1")
    with suppress(LookupInconclusive):
        return noted.search([(text + "x", found)]) is not None
    return True


def keyed(text: str) -> str:
    try:
        return Template("key:{name}", ("name",), "key").fill({"name": text})
    except InvalidArguments as error:
        return str(error)


def headed(text: str) -> str:
    try:
        return str(split(f"---\n{text}\n---\nbody"))
    except BrokenPost as error:
        return str(error)


def uncommented(text: str) -> str:
    try:
        return source.without_comments(text)
    except source.UnclosedComment as error:
        return str(error)


def tabled(text: str) -> int:
    try:
        return len(timeseries.parse(Document("x", text.encode())).parts)
    except (BrokenSource, OverflowError):
        return 0


def declared(text: str) -> str:
    return charsets.decode_xml(text.encode() + b"\xff" * 1_000, "text/xml; charset=shift_jis")


MEGABYTE = 1_000_000
ACCENTS = "a" + "\u0301\u0316" * (MEGABYTE // 4)

IN_THE_WORKER: list[tuple[Callable[[str], Any], str]] = [
    (sentence_ends, "." * MEGABYTE),
    (sentence_ends, "。" * MEGABYTE),
    (sentence_ends, '."' * (MEGABYTE // 2)),
    (bare_urls, "a." * (MEGABYTE // 2)),
    (bare_urls, "http://" * (MEGABYTE // 7)),
    (analysis_links, "a." * (MEGABYTE // 2)),
    (mastodon.length, "@" + "a" * MEGABYTE),
    (mastodon.length, "@a." * (MEGABYTE // 3)),
    (mastodon.length, "http://" + "a." * (MEGABYTE // 2)),
    (sent_back, "a." * (MEGABYTE // 2)),
    (sent_back, ACCENTS),
    (answered, "a." * (MEGABYTE // 2)),
    (answered, "".join(f"a{n}.de " for n in range(100_000))),
    (answered, ACCENTS),
    (compared, ACCENTS),
    (compared, "@a" * (MEGABYTE // 2)),
    (keyed, ACCENTS),
    (html.plain, "<" * MEGABYTE),
    (html.plain, "<!--" * (MEGABYTE // 4)),
    (html.plain, "<script" * (MEGABYTE // 7)),
    (html.plain, "</script" * (MEGABYTE // 7)),
    (html.plain, "<a a='" * (MEGABYTE // 6)),
    (html.plain, "&#" + "1" * MEGABYTE),
    (html.plain, "<![CDATA[" * (MEGABYTE // 9)),
    (html.plain, "<a " * (MEGABYTE // 3)),
    (redact.clean, "://?" + "token" * (MEGABYTE // 5)),
    (redact.clean, "token" + " " * MEGABYTE),
    (redact.clean, "://" + "&-" * (MEGABYTE // 2)),
    (redact.clean, "://" + "?a" * (MEGABYTE // 2)),
    (headed, "a: " + "[" * MEGABYTE),
    (headed, "a: " + "[" * 7_000),
    (headed, "- " * 3_900),
    (headed, "? " * 3_900),
    (headed, "a: " + '"' + "\\" * 7_000),
    (headed, "".join(f"a{n}: b\n" for n in range(1_000))),
    (headed, "a: &a [b]\nc: [*a, *a]"),
    (headed, "\n" * MEGABYTE),
    (headed, ("---" + " " * 50 + "x\n") * (MEGABYTE // 60)),
    (tabled, "a," * (MEGABYTE // 4) + "\n" + "1\n" * (MEGABYTE // 4)),
    (tabled, "a,b\n1," + "2" * MEGABYTE),
    (tabled, "a,b\n1,'" + '"' * MEGABYTE),
    (tabled, "[" * MEGABYTE),
    (tabled, '[{"a": ' + "9" * MEGABYTE + "}]"),
    (tabled, '[{"a": 1.' + "9" * MEGABYTE + "}]"),
    (tabled, "[{" + ",".join(f'"c{n}": 1' for n in range(60_000)) + "}" + ',{"c0": 1}' * 400 + "]"),
    (uncommented, "<!--" * (MEGABYTE // 4)),
    (uncommented, "<!-- -->" * (MEGABYTE // 8)),
    (uncommented, "<!-" * (MEGABYTE // 3)),
    (uncommented, "` `` " * (MEGABYTE // 5)),
    (uncommented, "".join("`" * n + " " for n in range(1_400))),
    (uncommented, "- " * (MEGABYTE // 2)),
    (uncommented, "> " * (MEGABYTE // 2)),
    (uncommented, "\t\n" * (MEGABYTE // 2)),
    (tabled, "date,n\n" + "jan feb 1 may jun jul aug sep oct nov dec,1\n" * (MEGABYTE // 45)),
    (tabled, "date,n\n" + "Nov 1 2026,closed\n" * (MEGABYTE // 18)),
    (tabled, "d,n\n" + "'1,1.1'1,1.1'1,1.1'1;(\u20ac- 1 EUR)\n" * (MEGABYTE // 36)),
    (tabled, '"' + "\n" * MEGABYTE),
    (tabled, "# x\n" * (MEGABYTE // 4)),
    (declared, "<?xml" + " " * MEGABYTE),
    (declared, "<?xml encoding" + "=" * MEGABYTE),
    (declared, " " * MEGABYTE + "<?xml"),
    (charsets.of_content_type, "text/html; charset=" + "a" * MEGABYTE),
    (charsets.of_content_type, "; charset" * (MEGABYTE // 9)),
]


FUNCTIONS = {function.__name__: function for function, _ in IN_THE_WORKER}


def one_after_the_other(name: str) -> int:
    """All hostile texts of one function; each must come to an end."""
    return len([FUNCTIONS[name](text) for function, text in IN_THE_WORKER if function.__name__ == name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_megabytes_take_no_more_than_seconds_where_no_process_stands_between(name: str) -> None:
    assert confined.call(one_after_the_other, name, cpu=LINEAR, wall=120) > 0


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, "1e" + "9" * 400])
def test_json_of_strangers_is_refused_and_nothing_breaks(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        strict_json.loads(text)


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        ("x-cp1251", "cp1251"),
        ("cp-1251", "cp1251"),
        ("win-1251", "cp1251"),
        ("windows1251", "cp1251"),
        ("KOI8R", "koi8-r"),
        ("iso88595", "iso-8859-5"),
        ("ibm866", "cp866"),
        ("x-sjis", "shift-jis"),
        ("sjis", "shift-jis"),
        ("Windows-31J", "shift-jis"),
        ("x-euc-jp", "euc-jp"),
        ("gb_2312-80", "gb2312"),
        ("x-gbk", "gbk"),
        ("Big5-HKSCS", "big5hkscs"),
        ("euckr", "euc-kr"),
        ("latin2", "iso-8859-2"),
    ],
)
def test_an_encoding_is_known_by_every_name_that_servers_use(label: str, encoding: str) -> None:
    text = "<rss>\u0441\u043d\u0435\u0433</rss>" if "125" in label or "866" in label else "<rss>x</rss>"

    assert charsets.codec(label) == codecs.lookup(encoding).name
    assert charsets.decode_xml(text.encode(encoding), f"text/xml; charset={label}") == text


@pytest.mark.parametrize("label", ["iso-8859-1", "us-ascii", "windows-1252"])
def test_utf_8_stays_utf_8_where_a_server_says_latin_1_of_everything(label: str) -> None:
    text = "<rss>caf\u00e9 \u201cna\u00efve\u201d</rss>"

    assert charsets.decode_xml(text.encode(), f"text/xml; charset={label}") == text
    assert charsets.decode_xml(text.encode("cp1252"), f"text/xml; charset={label}") == text


def test_only_encodings_of_the_web_are_known() -> None:
    odd = [
        "punycode",
        "idna",
        "utf-7",
        "unicode_escape",
        "zip",
        "zlib",
        "bz2",
        "hex",
        "uu",
        "rot13",
        "base64",
        "quopri",
        "mbcs",
        "",
        "../x",
    ]

    assert {charsets.codec(name) for name in odd} == {None}
    assert {charsets.of_content_type(f"text/html; charset={name}") for name in odd} == {"utf-8"}
    assert charsets.of_content_type('text/html; CHARSET="ISO-8859-1"') == "iso8859-1"
    for name in charsets._ALLOWED:
        b"abc".decode(str(charsets.codec(name)), "replace")
