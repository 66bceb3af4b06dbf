"""Documents: what counts as filled in, for Markdown headings and for keys of JSON and YAML."""

from __future__ import annotations

import json

import pytest
from test_gates import NOW, evidence, policy

from model_governance import Evidence, judge
from model_governance.documents import Document, has_key, read_document

CARD = b"""# Card

## Purpose
Counts people.

## Limits
### At night
Sees less.

## Privacy

## Licence
TODO

## How to
```
# no heading
```
"""


def test_a_heading_counts_where_something_stands_below_it() -> None:
    document = read_document("card.md", CARD)
    assert set(document.headings) == {"card", "purpose", "limits", "at night", "how to"}


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("purpose", True),
        ("cameras.gate.basis", True),
        ("cameras.yard.basis", False),
        ("cameras.*.retention_days", True),
        ("cameras.*.basis", False),
        ("empty", False),
        ("empty.*", False),
        ("nothing", False),
        ("todo", False),
        ("zero", True),
        ("no", True),
        ("list.*.id", True),
        ("list.0.id", True),
        ("absent", False),
        ("purpose.deeper", False),
    ],
)
def test_a_key_counts_where_it_holds_something(path: str, filled: bool) -> None:
    content = {
        "purpose": "count",
        "cameras": {
            "gate": {"basis": "contract", "retention_days": 0},
            "yard": {"retention_days": 1, "basis": " "},
        },
        "empty": {},
        "nothing": None,
        "todo": "TODO",
        "zero": 0,
        "no": False,
        "list": [{"id": 1}, {"id": 2}],
    }
    for name in ("a.json", "a.yaml"):
        assert has_key(read_document(name, json.dumps(content).encode()), path.split(".")) is filled, name


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", b"{", "cannot be read"),
        ("a.yaml", b"a: [", "cannot be read"),
        ("a.md", b"\xff\xfe", "cannot be read"),
        ("a.md", b"x" * 2_000_001, "at most 2000000 are read"),
        ("a.json", json.dumps(list(range(30_000))).encode(), "more than 20000 keys"),
        ("a.json", b"[" * 100_000, "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_so(name: str, content: bytes, problem: str) -> None:
    assert problem in read_document(name, content).problem


def test_it_comes_back_as_it_was_written() -> None:
    document = read_document("a.json", b'{"a": {"b": [1, ""]}}')
    assert Document.model_validate_json(document.model_dump_json()) == document


def card(content: bytes, name: str = "card.md", **metrics: float) -> Evidence:
    return evidence(dict(metrics), documents={f"run:{name}": read_document(name, content)})


def test_a_card_must_be_there_and_complete() -> None:
    rule = policy("compliance", document="card.md", headings=["Purpose", "LIMITS"])
    assert judge(rule, card(CARD), None, NOW).passed
    strict = policy("compliance", document="card.md", headings=["Purpose", "Privacy", "Ethics"])
    (row,) = judge(strict, card(CARD), None, NOW).failures
    assert row.got == "missing or empty: # Privacy, # Ethics"
    (row,) = judge(rule, evidence(), None, NOW).failures
    assert row.got == "not there"
    assert not judge(rule, card(b"\xff"), None, NOW).passed


def test_every_camera_needs_its_statement() -> None:
    rule = policy(
        "compliance", document="privacy.json", each="slice/camera_id/*/n", keys=["cameras.{each}.basis", "officer"]
    )
    statements = {"officer": "Ann", "cameras": {"gate.north": {"basis": "contract"}, "yard": {"basis": ""}}}
    content = json.dumps(statements).encode()
    north, yard = {"slice/camera_id/gate.north/n": 9.0}, {"slice/camera_id/yard/n": 9.0}
    assert judge(rule, card(content, "privacy.json", **north), None, NOW).passed
    (row,) = judge(rule, card(content, "privacy.json", **north, **yard), None, NOW).failures
    assert row.got == "missing or empty: cameras.yard.basis"
    (row,) = judge(rule, card(content, "privacy.json"), None, NOW).failures
    assert row.got == "missing or empty: any metric slice/camera_id/*/n"


@pytest.mark.parametrize(
    "change", [{"keys": ["a.{each}"]}, {"each": "slice/*/n"}, {"each": "no star", "keys": ["{each}"]}]
)
def test_each_and_its_keys_go_together(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="each"):
        policy("compliance", document="a.json", **change)


def test_compliance_takes_records_too() -> None:
    rule = policy("compliance", tag="licence", equals="Apache-2.0")
    assert judge(rule, evidence(tags={"licence": "Apache-2.0"}), None, NOW).passed
    assert not judge(rule, evidence(tags={"licence": "AGPL-3.0"}), None, NOW).passed
