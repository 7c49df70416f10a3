"""A folder of posts as people really have them, for Jekyll, Hugo and Gatehouse, and what must become of each file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: Stands in every comment; it must never leave.
SECRET = "ask-legal"


@dataclass(frozen=True)
class Out:
    """The file is published: under this id, dated so, with these pieces in its page (HTML) and in its plain text."""

    id: str
    at: str = ""
    title: str = ""
    html: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Told:
    """The file is not published, and the folder says why, as `broken` or `skipped`."""

    words: str
    kind: str = "broken"


SILENT = None
OTHERS: dict[str, tuple[str | bytes, Out | Told | None]] = {}


def _file(mark: str, fields: Iterable[str], body: str) -> str:
    return "\n".join([mark, *fields, mark, body, ""])


def jekyll(name: str, outcome: Out | Told | None, body: str = "Some text.", *fields: str) -> None:
    OTHERS[name] = (_file("---", ["layout: post", *(fields or ["title: A post"])], body), outcome)


def hugo(name: str, outcome: Out | Told | None, body: str = "Some text.", *fields: str) -> None:
    OTHERS[name] = (_file("+++", fields or ["title = 'A page'", "date = 2020-05-01T08:00:00Z"], body), outcome)


def ours(name: str, outcome: Out | Told | None, body: str = "Some text.", *fields: str) -> None:
    OTHERS[name] = (_file("---", ["title: Ours", "publish_at: 2026-11-01T09:00:00Z", *fields], body), outcome)


P = "_posts/"

# What Jekyll takes from names and dates
jekyll(
    P + "2019-01-01-hello-world.markdown",
    Out("2019-01-01-hello-world", "2019-01-01T00:00:00Z", "Hello"),
    "Hi.",
    "title: Hello",
)
jekyll(P + "2019-1-2-short.md", Out("2019-1-2-short", "2019-01-02T00:00:00Z"))
jekyll(
    P + "2019-01-03-zone.md",
    Out("2019-01-03-zone", "2019-01-03T09:00:00Z"),
    "x",
    "title: Z",
    "date: 2019-01-03 10:00:00 +0100",
)
jekyll(
    P + "2019-01-04-west.md",
    Out("2019-01-04-west", "2019-01-04T15:30:00Z"),
    "x",
    "title: Z",
    "date: 2019-01-04 10:30 -0500",
)
jekyll(
    P + "2019-01-05-plain.md",
    Out("2019-01-05-plain", "2019-01-05T10:00:00Z"),
    "x",
    "title: Z",
    "date: 2019-01-05 10:00",
)
jekyll(
    P + "2019-01-06-millis.md",
    Out("2019-01-06-millis", "2019-01-06T10:00:00.123Z"),
    "x",
    "title: Z",
    "date: 2019-01-06T10:00:00.123Z",
)
jekyll(
    P + "2019-01-07-utc.md",
    Out("2019-01-07-utc", "2019-01-07T10:00:00Z"),
    "x",
    "title: Z",
    "date: 2019-01-07 10:00:00 UTC",
)
jekyll(
    P + "2019-01-08-words.md", Out("2019-01-08-words", "2019-01-08T00:00:00Z"), "x", "title: Z", "date: January 8, 2019"
)
jekyll(
    P + "2019-01-09-mail.md",
    Out("2019-01-09-mail", "2019-01-09T08:00:00Z"),
    "x",
    "title: Z",
    "date: Wed, 09 Jan 2019 10:00:00 +0200",
)
jekyll(
    P + "2019-01-10-slashes.md", Out("2019-01-10-slashes", "2019-01-10T00:00:00Z"), "x", "title: Z", "date: 2019/1/10"
)
jekyll(
    P + "2019-01-10-early.md",
    Out("2019-01-10-early", "2019-01-10T08:05:00Z"),
    "x",
    "title: Z",
    "date: 2019-1-10 9:05 +0100",
)
jekyll(
    P + "2019-01-11-cet.md", Told("publish_at: Invalid isoformat string"), "x", "title: Z", "date: 2019-01-11 10:00 CET"
)
jekyll(P + "2019-13-45-no-month.md", Told("publish_at: month must be in 1..12"))
jekyll(P + "2019-01-12-My-Post.MD", Out("2019-01-12-my-post"))
jekyll(P + "2019-01-13-café-crème.md", Out("2019-01-13-cafe-creme"))
jekyll(P + "2019-01-14-v1.2.3 is out!.md", Out("2019-01-14-v1-2-3-is-out"))
jekyll(P + "2019-01-15-" + "long-" * 20 + "name.md", Out(("2019-01-15-" + "long-" * 20)[:64].strip("-")))
jekyll(P + "2019-01-16-你好.md", Out("2019-01-16"))
jekyll(P + "tech/2019-01-17-nested.mkd", Out("2019-01-17-nested", "2019-01-17T00:00:00Z"))
jekyll(P + "undated.md", Told("publish_at: Field required"))
jekyll("你好.md", Told("is not an id"), "x", "title: T", "date: 2019-01-01")

# What a front matter of Jekyll says
jekyll(
    P + "2019-02-01-tags.md",
    Out("2019-02-01-tags", tags=("ruby", "web", "notes", "daily")),
    "x",
    "title: T",
    "tags: [ruby, web]",
    "categories: notes, daily",
)
jekyll(
    P + "2019-02-01-words.md",
    Out("2019-02-01-words", tags=("ruby", "web", "big data", "news")),
    "x",
    "title: T",
    "tags: ruby web",
    "category: big data, news",
)
jekyll(
    P + "2019-02-02-custom.md",
    Out("2019-02-02-custom"),
    "x",
    "title: T",
    "hero: /img/x.png",
    "og:",
    "  image: a",
    "permalink: /x/:title/",
)
jekyll(P + "2019-02-03-misspelt.md", Told("'destination'; the fields are"), "x", "title: T", "destination: feed")
jekyll(P + "2019-02-04-hidden.md", Told("`published: false`", "skipped"), "x", "title: T", "published: false")
jekyll(P + "2019-02-05-shown.md", Out("2019-02-05-shown"), "x", "title: T", "published: true", "comments: true")
jekyll("_drafts/idea.md", Told("in a folder of drafts", "skipped"), "x", "title: T", "date: 2019-02-06")
jekyll(
    P + "2019-02-07-colon.md", Told("quote the value: `title: 'Ruby: a love story'`"), "x", "title: Ruby: a love story"
)
jekyll(P + "2019-02-07-tilde.md", Told("title: Field required"), "x", "title: ~")
jekyll(P + "2019-02-07-open-quote.md", Told("quote the value: `title: 'It is'`"), "x", "title: 'It is")
jekyll(P + "2019-02-07-quotes.md", Told("""quote the value: `title: 'say "hi"'`"""), "x", 'title: "say "hi""')
jekyll(P + "2019-02-07-list-hash.md", Told("quote the value: `- '#1'`"), "x", "title: T", "tags:", "  - #1", "  - b")
jekyll(
    P + "2019-02-07-other-hashes.md",
    Out("2019-02-07-other-hashes"),
    "x",
    "title: T # as agreed",
    "description: Fixes #5",
    "excerpt: |",
    "  - #1",
    "aliases:",
    "  - #2",
)
jekyll(P + "2019-02-07-mapping.md", Told("destinations: is not a list"), "x", "title: T", "destinations: {feed: true}")
jekyll(P + "2019-02-07-dash.md", Told("not YAML: block sequence entries are not allowed"), "x", "title: - x")
jekyll(P + "2019-02-07-nulls.md", Out("2019-02-07-nulls", tags=()), "x", "title: T", "tags: null", "id: ~")
jekyll(P + "2019-02-08-hash.md", Told("quote the value: `title: '#1 reason'`"), "x", "title: #1 reason")
jekyll(
    P + "2019-02-09-hash-inside.md", Told("quote the value: `title: 'Fixes #5 and #6'`"), "x", "title: Fixes #5 and #6"
)
jekyll(P + "2019-02-10-at.md", Told("quote the value: `title: '@home'`"), "x", "title: @home")
jekyll(P + "2019-02-11-star.md", Told("quote the value: `title: '*Really*'`"), "x", "title: *Really*")
jekyll(P + "2019-02-12-bang.md", Told("quote the value: `title: '!important'`"), "x", "title: !important")
jekyll(
    P + "2019-02-13-bracket.md", Told("quote the value: `title: '[Solved] It''s DNS'`"), "x", "title: [Solved] It's DNS"
)
jekyll(
    P + "2019-02-14-quoted.md", Out("2019-02-14-quoted", title="#1: “why”"), "x", 'title: "#1: “why”" # chosen by vote'
)
jekyll(P + "2019-02-15-untitled.md", Told("title: Field required; write `title: One line of text`"), "x", "author: me")
jekyll(
    P + "2019-02-16-wordy.md", Told("title: has 301 characters, of which 300 are allowed"), "x", "title: " + "x" * 301
)
jekyll(P + "2019-02-17-escape.md", Out("2019-02-17-escape", title="one two"), "x", 'title: "one \\u0010 two"')
jekyll(P + "2019-02-18-aliases.md", Told("YAML aliases"), "x", "title: T", "a: &x [1]", "b: *x")
jekyll(P + "2019-02-19-twice.md", Told("has 'title' twice"), "x", "title: A", "Title: B")
jekyll(P + "2019-02-20-huge.md", Told("more than 8,000 characters"), "x", "title: T", "note: " + "x" * 8_000)
jekyll(P + "2019-02-21-slug.md", Out("my-own-name"), "x", "title: T", "slug: My own name")
jekyll(P + "2019-02-22-twin.md", Told("is also in"), "x", "title: T", "slug: twin")
jekyll(P + "2019-02-23-other-twin.md", Told("is also in"), "x", "title: T", "slug: twin")

# What a body written for Jekyll contains
jekyll(
    P + "2019-03-01-more.md",
    Out("2019-03-01-more", html=("<p>Lead.</p>\n<p>Rest.</p>",)),
    "Lead.\n<!--more-->\n\nRest.",
)
jekyll(
    P + "2019-03-02-comment.md",
    Out("2019-03-02-comment", html=("<p>Before after.</p>",)),
    f"Before<!-- {SECRET} --> after.",
)
jekyll(
    P + "2019-03-03-block.md",
    Out("2019-03-03-block", text=("Before\n\nAfter",)),
    f"Before\n\n<!--\n- {SECRET}\n\n# {SECRET}\n\n```\n-->\n\nAfter",
)
jekyll(
    P + "2019-03-04-across.md",
    Out("2019-03-04-across", text=("Start", "end")),
    f"Start <!-- {SECRET}\n\n{SECRET} --> end",
)
jekyll(
    P + "2019-03-05-fence.md",
    Out("2019-03-05-fence", html=("&lt;!-- shown --&gt;",)),
    f"```html\n<!-- shown -->\n```\n<!-- {SECRET} -->",
)
jekyll(
    P + "2019-03-06-inline-code.md",
    Out("2019-03-06-inline-code", html=("<code>&lt;!-- shown --&gt;</code>",)),
    f"Write `<!-- shown -->` <!-- {SECRET} -->.",
)
jekyll(
    P + "2019-03-07-indented.md",
    Out("2019-03-07-indented", html=("<pre><code>&lt;!-- shown --&gt;",)),
    f"Write:\n\n    <!-- shown -->\n\n<!-- {SECRET} -->Done.",
)
jekyll(
    P + "2019-03-08-list-code.md",
    Out("2019-03-08-list-code", html=("&lt;!-- shown --&gt;",)),
    f"1. Write\n\n   ```\n   <!-- shown -->\n   ```\n\n2. Done <!-- {SECRET} -->",
)
jekyll(
    P + "2019-03-08-quoted-fence.md",
    Out("2019-03-08-quoted-fence", html=("&lt;!-- shown --&gt;",), text=("Said.",)),
    f"> ```\n> <!-- shown -->\n\nSaid. <!-- {SECRET}\n\n{SECRET} -->",
)
jekyll(
    P + "2019-03-08-open-list.md",
    Out("2019-03-08-open-list", html=("&lt;!-- shown --&gt;",), text=("Said.",)),
    f"- ```\n  <!-- shown -->\n\nSaid. <!-- {SECRET}\n\n{SECRET} -->",
)
jekyll(
    P + "2019-03-09-conditional.md",
    Out("2019-03-09-conditional", text=("AB",)),
    f"A<!--[if lt IE 9]> {SECRET} <![endif]-->B",
)
jekyll(
    P + "2019-03-10-title-comment.md",
    Out("2019-03-10-title-comment", title="New prices"),
    "x",
    f"title: New <!-- {SECRET} --> prices",
)
jekyll(
    P + "2019-03-11-definition.md",
    Out("2019-03-11-definition", text=("Text.",)),
    f"Text.\n\n[//]: # ({SECRET})\n[comment]: <> ({SECRET})",
)
jekyll(
    P + "2019-03-12-open.md", Told("body: has a comment without an end: `<!-- never"), "Text <!-- never closed\n\nMore."
)
jekyll(P + "2019-03-13-only-comment.md", Told("body: is empty"), f"<!-- {SECRET} -->")
jekyll(P + "2019-03-14-empty.md", Told("body: is empty"), "")
jekyll(
    P + "2019-03-15-relative.md",
    Out("2019-03-15-relative", text=("See collections and up and here.",)),
    "See [collections](/docs/collections/) and [up](../up.html) and [here](#anchor).",
)
jekyll(
    P + "2019-03-16-reference.md",
    Out("2019-03-16-reference", html=("<p>See docs and b.</p>",)),
    'See [docs][d] and [b].\n\n[d]: /docs/ "Docs"\n[b]: b.html',
)
jekyll(
    P + "2019-03-17-refused.md",
    Out("2019-03-17-refused", html=("<p>a b c</p>",)),
    "[a](javascript:alert(1)) [b](data:text/html,x) [c](file:///etc/passwd)",
)
jekyll(P + "2019-03-18-image.md", Out("2019-03-18-image", html=("<p>A chart</p>",)), "![A chart](/assets/chart.png)")
jekyll(
    P + "2019-03-19-linked-image.md",
    Out("2019-03-19-linked-image", html=('<p><a href="https://example.org/x.png">big</a></p>',)),
    "[![big](https://example.org/x.png)](/gallery/)",
)
jekyll(
    P + "2019-03-20-brackets.md",
    Out("2019-03-20-brackets", text=("the [draft] spec",)),
    "the [[draft] spec](/spec_(old))",
)
jekyll(
    P + "2019-03-21-kept.md",
    Out("2019-03-21-kept", html=('<a href="https://example.org/a?b=1&amp;c">x</a>', "mailto:a@example.org")),
    "[x](https://example.org/a?b=1&c) <a@example.org>",
)
jekyll(P + "2019-03-22-formfeed.md", Out("2019-03-22-formfeed", html=("<p>A  B</p>",), text=("A B",)), "A &#12; B")
jekyll(P + "2019-03-23-raw-control.md", Out("2019-03-23-raw-control", text=("bell",)), "be\x07ll\ufffe\x0c")
jekyll(P + "2019-03-24-bidi.md", Out("2019-03-24-bidi", text=("a\u202eb\u202c",)), "a\u202eb\u202c")
jekyll(
    P + "2019-03-25-include.md",
    Told('contains `{% include note.html text="x" %}`'),
    'A {% include note.html text="x" %} B',
)
jekyll(P + "2019-03-26-baseurl.md", Told("contains `{{ site.baseurl }}`"), "[x]({{ site.baseurl }}/x)")
jekyll(
    P + "2019-03-27-post-url.md",
    Told("contains `{% post_url 2019-01-01-hello-world %}`"),
    "[x]({% post_url 2019-01-01-hello-world %})",
)
jekyll(
    P + "2019-03-28-highlight.md",
    Told("contains `{% highlight ruby %}`"),
    "{% highlight ruby %}\nputs 1\n{% endhighlight %}",
)
jekyll(
    P + "2019-03-29-liquid-code.md",
    Out("2019-03-29-liquid-code", html=("<code>{% raw %}</code>",)),
    "Use `{% raw %}` and:\n\n```\n{{ page.title }}\n```",
)
jekyll(
    P + "2019-03-30-attributes.md", Told('contains `{:target="_blank"}`'), '[x](https://example.org){:target="_blank"}'
)
jekyll(P + "2019-03-31-filter.md", Told("contains `{{ '/a.css' | relative_url }}`"), "{{ '/a.css' | relative_url }}")
jekyll(P + "2019-04-01-go.md", Told("contains `{{/* ask legal */}}`"), "A {{/* ask legal */}} B")
jekyll(P + "2019-04-01-kramdown.md", Told("contains `{::comment}`"), f"{{::comment}}{SECRET}{{:/comment}}")
jekyll(P + "2019-04-01-braces.md", Out("2019-04-01-braces", text=("{{ name }}",)), "Say {{ name }}.")

# What else is in the folder of a site
OTHERS[P + "2019-05-01-latin.md"] = ("---\ntitle: Café\n---\nx".encode("latin-1"), Told("is not UTF-8 at byte 14"))
OTHERS[P + "2019-05-02-windows.md"] = (
    b"\xef\xbb\xbf---\r\ntitle: W\r\n---\r\n\r\nOne\r\ntwo <!-- ask-legal\r\n -->\r\n",
    Out("2019-05-02-windows", text=("One two",)),
)
OTHERS[P + "2019-05-03-bare.md"] = ("Just text.\n", Told("has no front matter"))
OTHERS[P + "2019-05-04-unclosed.md"] = ("---\ntitle: T\n\nText\n", Told("the line `---` that ends it"))
OTHERS[P + "2019-05-05-old.textile"] = ("---\ntitle: T\n---\nh1. T\n", Told("is not Markdown"))
OTHERS[P + "2019-05-06-page.html"] = ("---\ntitle: T\n---\n<p>x</p>\n", Told("is not Markdown"))
OTHERS["about.html"] = ("<html></html>\n", SILENT)
OTHERS["README.md"] = ("# My blog\n", SILENT)
OTHERS["assets/photo.jpg"] = (b"\xff\xd8", SILENT)
OTHERS[".obsidian/notes.md"] = ("x", SILENT)
OTHERS["_includes/head.md"] = ("x", Told("folders whose names begin with _", "skipped"))
OTHERS["index.md"] = ("---\ntitle: Home\ndate: 2019-01-01\n---\nHi\n", Told("the feed's own page"))
OTHERS["drafts/digest-1.md"] = ("---\ntitle: T\npublish_at: 2026-11-01\n---\nx\n", SILENT)

# What Hugo takes for a post
H = "blog/"
hugo(H + "toml.md", Out("toml", "2020-05-01T08:00:00Z", "A page"))
hugo(H + "offset.md", Out("offset", "2020-05-02T06:00:00Z"), "x", "title = 'T'", "date = 2020-05-02T08:00:00+02:00")
hugo(H + "day.md", Out("day", "2020-05-03T00:00:00Z"), "x", "title = 'T'", "date = 2020-05-03")
hugo(H + "text-date.md", Out("text-date", "2020-05-04T00:00:00Z"), "x", "title = 'T'", "date = '2020-05-04'")
OTHERS[H + "windows.md"] = (b"+++\r\ntitle = 'W'\r\ndate = 2020-05-04\r\n+++\r\n\r\nx\r\n", Out("windows", title="W"))
OTHERS[H + "tabs.md"] = ("---\ntitle: T\ntags:\n\t- a\n---\nx\n", Told("indent with spaces, not with tabs"))
hugo(
    H + "number.md",
    Out("number", title="1984", tags=("a", "2020")),
    "x",
    "title = 1984",
    "date = 2020-05-05",
    "tags = ['a', 2020]",
)
hugo(H + "draft.md", Told("`draft: true`", "skipped"), "x", "title = 'T'", "date = 2020-05-06", "draft = true")
hugo(
    H + "final.md", Out("final"), "x", "title = 'T'", "date = 2020-05-07", "draft = false", "[params]", "color = 'red'"
)
hugo(H + "broken.md", Told("is not TOML"), "x", "title = T", "date = 2020-05-08")
hugo(H + "bundle/index.md", Out("bundle"))
hugo(H + "bundle/part/index.md", Out("part"))
hugo(H + "_index.md", Told("the page of a section", "skipped"))
hugo(
    H + "later.md",
    Out("later", "2098-01-01T00:00:00Z"),
    "x",
    "title = 'T'",
    "date = 2020-05-09",
    "publishDate = 2098-01-01",
)
hugo(H + "over.md", Told("expired", "skipped"), "x", "title = 'T'", "date = 2020-05-10", "expiryDate = 2021-01-01")
hugo(H + "not-over.md", Out("not-over"), "x", "title = 'T'", "date = 2020-05-11", "expiryDate = 2098-01-01")
hugo(H + "figure.md", Told('contains `{{< figure src="a.png" >}}`'), '{{< figure src="a.png" >}}')
hugo(H + "notice.md", Told("contains `{{% notice %}}`"), "{{% notice %}}\nx\n{{% /notice %}}")
hugo(H + "ref.md", Told('contains `{{< ref "toml.md" >}}`'), '[x]({{< ref "toml.md" >}})')
hugo(H + "shown.md", Out("shown", html=("{{&lt; figure &gt;}}",)), "```\n{{< figure >}}\n```")
hugo(H + "page.en.md", Out("page-en"))
jekyll(H + "capitals.md", Told("`draft: true`", "skipped"), "x", "Title: T", "Date: 2020-05-12", "Draft: True")
jekyll(
    H + "yaml.md",
    Out("yaml", title="Y", tags=("go",)),
    "x",
    "Title: Y",
    "Date: 2020-05-13T10:00:00+02:00",
    "Tags: [go]",
    "weight: 10",
)
OTHERS[H + "json.md"] = ('{"title": "J", "date": "2020-05-14"}\n\nx\n', Told("has no front matter"))
OTHERS[H + "notes.org"] = ("#+TITLE: N\n", Told("is not Markdown"))
OTHERS[H + "guide.adoc"] = ("= Guide\n", Told("is not Markdown"))

# What Gatehouse takes for a post
ours("plain.md", Out("plain", "2026-11-01T09:00:00Z", "Ours"))
ours("named.md", Out("other-name"), "x", "id: other-name")
ours("nowhere.md", Told("destinations: is empty", "skipped"), "x", "destinations: []")
ours("nowhere-null.md", Told("destinations: is empty", "skipped"), "x", "destinations: null")
ours("nowhere-blank.md", Told("destinations: is empty", "skipped"), "x", "destinations:")
ours("nowhere-text.md", Told("destinations: is empty", "skipped"), "x", 'destinations: ""')
ours("one.md", Out("one"), "x", "destinations: feed")
ours("strict.md", Told("unknown in its front matter: 'embargo'"), "x", "embargo: 2027-01-01")
ours("parked.md", Told("`draft: true`", "skipped"), "x", "draft: true")
ours("nowhere-comma.md", Told("destinations: is empty", "skipped"), "x", 'destinations: ","')
ours("nested-comment.md", Told("has comments within comments"), f"A <!-- x <!-- y --> {SECRET} --> B")
ours("comment-opened-twice.md", Out("comment-opened-twice", text=("A B",)), f"A <!-- x <!-- {SECRET} --> B")
ours("liquid-comment.md", Told("contains `{% comment %}`"), f"A {{% comment %}}{SECRET}{{% endcomment %}} B")
ours("hugo-comment.md", Told("contains `{{< comment >}}`"), f"A {{{{< comment >}}}}{SECRET}{{{{< /comment >}}}} B")
ours("kramdown-comment.md", Told("contains `{::comment}`"), f"{{::comment}}{SECRET}{{:/comment}}")
ours("go-comment.md", Told("contains `{{/* ask-legal */}}`"), f"A {{{{/* {SECRET} */}}}} B")
ours("liquid-link.md", Told("contains `{{ site.baseurl }}`"), "[x]({{ site.baseurl }}/x)")
ours("liquid-post-url.md", Told("contains `{% post_url 2019-01-01-hello %}`"), "[x]({% post_url 2019-01-01-hello %})")
ours(
    "liquid-shown.md",
    Out("liquid-shown", text=("{{ page.title }} and {% if x %}",)),
    "Write {{ page.title }} and {% if x %}.",
)
ours("liquid-comment-shown.md", Out("liquid-comment-shown", text=("{% comment %}",)), "Write `{% comment %}`.")
ours("bell.md", Out("bell", tags=("rings",)), "x", "tags: [ri\x07ngs]\x1b")
ours("tags-hash.md", Told("quote the values: `tags: ['#agents', 'b']`"), "x", "tags: [#agents, b]")
ours("joined.md", Told("write a space behind the colon: `tags: a`"), "x", "tags:a")
OTHERS["text.txt"] = (_file("---", ["title: T", "publish_at: 2026-11-01T09:00:00Z"], "x"), Told("is not Markdown"))
OTHERS["text.md.txt"] = (_file("---", ["title: T", "publish_at: 2026-11-01T09:00:00Z"], "x"), Told("is not Markdown"))
OTHERS["robots.txt"] = ("User-agent: *\n", SILENT)
OTHERS["mark.md"] = (
    _file("---", ["title: ! Read this", "publish_at: 2026-11-01T09:00:00Z"], "x"),
    Told("quote the value: `title: '! Read this'`"),
)
OTHERS["anchor.md"] = (
    _file("---", ["title: &more than this", "publish_at: 2026-11-01T09:00:00Z"], "x"),
    Told("quote the value: `title: '&more than this'`"),
)
OTHERS["typed.md"] = (
    _file("---", ["title: !!str 2026", "publish_at: 2026-11-01T09:00:00Z"], "x"),
    Out("typed", title="2026"),
)
ours("tag-hash.md", Told("quote the value: `tags: '#agents'`"), "x", "tags: #agents")


def write(folder: Path) -> None:
    """Write all files into a folder."""
    for name, (data, _) in OTHERS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
