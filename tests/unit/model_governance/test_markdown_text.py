"""Whatever text stands in a description or a change log, a reader sees that text and nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model_governance.markdown_text import as_code, as_text

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

NASTY = [
    "0 #",
    "![](http://example.org/p.png)",
    "![a][b]",
    "[click](javascript:alert(1))",
    "[a]: http://example.org",
    "<img src=x onerror=alert(1)>",
    "<http://example.org>",
    "<!-- gone -->",
    "&lt;b&gt; &amp;lt; &#60;b&#62;",
    "a | b || c \\| d \\",
    "one\n\n# two\r\n- three\u2028four\x0b> five",
    "# heading",
    "> quote",
    "- list",
    "+ list",
    "1. list",
    "12) list",
    "---",
    "===",
    "***",
    "__bold__ _it_ a_b_c *x* **y** ~~gone~~",
    "`code` ``more` ",
    "    indented",
    "```\nfence\n```",
    "\\[escaped\\]",
    "a\\",
    ":smile: 12:30 models:/m/1",
]


class Reader(HTMLParser):
    """What a browser would show, and the tags that it would meet."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", []  # type: ignore[var-annotated]
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")


def shown(markdown: str) -> Reader:
    return Reader(MARKDOWN.render(markdown))


def flat(text: str) -> str:
    """As it should be read: one line; what cannot be seen as a replacement mark."""
    return re.sub("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", "�", " ".join(text.split()))


TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from([*NASTY, *"\\`*_~|[]()<>&#!@:/.-+=1a \n", "http", "www."]), max_size=8).map("".join),
)


def examples(test):  # type: ignore[no-untyped-def]
    for text in NASTY:
        test = example(text)(test)
    return test


@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
@examples
def test_a_text_is_shown_as_it_is(text: str) -> None:
    for markdown, tags in (
        (as_text(text), ["p"]),
        (f"- {as_text(text)}", ["ul", "li"]),
        (f"## told: {as_text(text)}", ["h2"]),
        (f"above\n{as_text(text)}", ["p"]),
    ):
        seen = shown(markdown)
        if flat(text):
            assert (seen.tags, seen.text.strip().removeprefix("told:").removeprefix("above").strip()) == (
                tags,
                flat(text),
            )


@settings(deadline=None, max_examples=300)
@given(text=TEXTS)
@examples
def test_a_text_stays_in_its_cell(text: str) -> None:
    seen = shown(f"| a | b |\n| --- | --- |\n| {as_text(text)} | end |\n")
    assert seen.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert re.sub(r"\s+", " ", seen.text).strip() == " ".join(f"a b {flat(text)} end".split())


@settings(deadline=None, max_examples=200)
@given(text=TEXTS)
@examples
def test_nothing_leaves_its_code_span(text: str) -> None:
    if flat(text):
        assert shown(f"- commit `{as_code(text)}`, end").tags == ["ul", "li", "code"]


@pytest.mark.parametrize(
    "text", ["http://a.b", "HTTPS://a.b", "ftp://a.b", "see www.a.b", "WWW.a.b", "mail @ann", "ann@example.org"]
)
def test_no_bare_address_is_left_of_which_a_page_makes_a_link(text: str) -> None:
    """GitHub's and MLflow's pages make links of these as they stand."""
    assert not re.search(r"\w://|\bwww\.|@", as_text(text), re.IGNORECASE)
    assert shown(as_text(text)).text.strip() == text


def test_a_long_text_is_cut_before_it_is_escaped() -> None:
    assert as_text("[" * 10, 4) == r"\[\[\[…"
    assert as_text("[" * 4, 4) == r"\[" * 4
    assert as_code("`" * 10, 4) == "'''…"


def test_what_is_plain_stays_readable() -> None:
    for text in (
        "latency_ms: 20 → 25 (+5, worse)",
        "slice/light/night/score 0.4",
        "models:/m-1f/2",
        "-0.04",
        "a > b",
    ):
        assert as_text(text) == text
