"""What people and data say stands in Markdown as text: held against a parser of Markdown of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from model_governance import Verdict
from model_governance.gates import GateResult
from pipelines.card.blocks import Card, Commands, Facts, Items, Section, Table, Text
from pipelines.card.markdown import to_markdown
from pipelines.ci.summary import stopped_summary, summary_of
from pipelines.register import RegisterResult

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

NASTY = (
    "![seen](http://tracker.example.org/pixel.png) [here](javascript:alert(1)) <img src=x> | `code` \\| ~~~ **b**"
    "\n\n# Heading\n\n| a | b |\n| --- | --- |\n@everybody https://evil.example.org www.evil.example.org"
    " &#60;b&#62; \\"
)
_TEXTS = st.one_of(
    st.text(alphabet="ab1 .-+=)\\`*_[]()<>#|~!&;:$@/\n\"'", max_size=30),
    st.lists(
        st.sampled_from(["~~~", "```", "---", "1.", "2)", "- ", "![a](b)", "<b>", "&lt;", "&#60;", "|", "\\", "x"])
    ).map("".join),
)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _shown(tokens: list[Token]) -> tuple[set[str], list[str]]:
    """Which kinds of token there are, and the text of each line of text as a reader sees it."""
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {token.type for token in tokens} | {c.type for token in inline for c in token.children or ()}
    return kinds, ["".join(child.content for child in token.children or ()) for token in inline]


def _card(*blocks: Text | Items | Facts | Table | Commands) -> str:
    section = Section("a", "A", blocks)
    return to_markdown(Card("gate", {}, (section,), (), {})).partition("## A\n\n")[2]


@given(_TEXTS)
@example(NASTY)
def test_a_text_is_read_as_it_was_written(text: str) -> None:
    if not text.strip():
        return
    kinds, lines = _shown(PARSER.parse(_card(Text(text))))
    assert kinds == {"paragraph_open", "inline", "text", "paragraph_close"}
    assert lines == [_flat(text)]


@given(st.lists(_TEXTS.filter(str.strip), min_size=1, max_size=3))
@example([NASTY])
def test_a_list_has_as_many_items_as_were_written(items: list[str]) -> None:
    kinds, lines = _shown(PARSER.parse(_card(Items(tuple(items)))))
    assert kinds <= {
        *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        *("paragraph_open", "paragraph_close", "inline", "text"),
    }
    assert lines == [_flat(item) for item in items]


@given(_TEXTS, _TEXTS)
@example(NASTY, NASTY)
def test_a_table_has_the_cells_that_were_written(one: str, other: str) -> None:
    kinds, lines = _shown(PARSER.parse(_card(Table("", ("first", "second"), ((one, other), ("x", "y"))))))
    assert not kinds & {"image", "link_open", "html_inline", "html_block", "code_inline", "em_open", "strong_open"}
    assert lines == ["first", "second", _flat(one), _flat(other), "x", "y"]


def test_no_bare_address_and_no_mention_is_left_for_a_code_host_to_make_a_link_of() -> None:
    told = _card(Text(NASTY), Facts((("contact", NASTY),)))
    for link in ("http:", "https:", "www.", "@everybody"):
        assert link not in told


def test_a_command_stays_in_its_block() -> None:
    tokens = PARSER.parse(_card(Commands(("mlflow run . -P uri='a\n```\n# b'",)), Text("after")))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


def test_the_summary_on_a_pull_request_shows_neither_pictures_nor_links() -> None:
    row = GateResult(section="quality", gate=NASTY, expected=NASTY, got=NASTY, passed=False, reason=NASTY)
    verdict = Verdict(
        judged_at=datetime(2026, 1, 1, tzinfo=UTC),
        policy_digest="p",
        evidence_digest="e",
        champion_digest=None,
        rows=(row,),
    )
    registered = RegisterResult(NASTY, "1", NASTY, verdict, True)
    record = {"Commit": NASTY, "Data": "", "Model": "models:/a/1"}
    for text in (summary_of(registered, {NASTY: 1.0}, None, record, (), None), stopped_summary("train", NASTY)):
        kinds, lines = _shown(PARSER.parse(text.partition("\n")[2]))
        assert not kinds & {"image", "link_open", "html_inline", "html_block", "fence"}
        assert any("![seen](http://tracker.example.org" in line for line in lines), "as text"
        assert "@everybody" not in "".join(text.split("`")[::2]), "but in code, where nobody is told"
    told = summary_of(registered, {}, None, record, (), None)
    assert "- Data: `not recorded`" in told
    assert "- Model: `models:/a/1`" in told
