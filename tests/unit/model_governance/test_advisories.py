"""Known vulnerabilities: pins read as pip and conda read them, versions matched as OSV says, no network."""

from __future__ import annotations

import json
import socket
import tracemalloc
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from test_gates import NOW, evidence, policy

from model_governance import EvidenceError, PolicyError, advisories, judge
from model_governance.advisories import affects, audit
from model_governance.requirements import Pin, read_lock, read_pins

MODIFIED = "2026-11-20T10:00:00Z"


def record(id: str = "PYSEC-2026-1", package: str = "Pillow", **affected: Any) -> dict[str, Any]:
    affected.setdefault("ranges", [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "10.3.0"}]}])
    return {
        "id": id,
        "modified": MODIFIED,
        "aliases": ["CVE-2026-0001"],
        "summary": "Reads beyond\nthe end",
        "affected": [{"package": {"ecosystem": "PyPI", "name": package}, **affected}],
    }


def events(*marks: tuple[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in marks]}]}


@pytest.mark.parametrize(
    ("entry", "version", "expected"),
    [
        (events(("introduced", "0"), ("fixed", "1.10")), "1.9", True),
        (events(("introduced", "0"), ("fixed", "1.10")), "1.10", False),
        (events(("introduced", "0"), ("fixed", "1.10")), "1.10rc1", True),
        (events(("introduced", "1.0")), "0.9", False),
        (events(("introduced", "1.0")), "99", True),
        (events(("introduced", "1.0"), ("last_affected", "1.4")), "1.4", True),
        (events(("introduced", "1.0"), ("last_affected", "1.4")), "1.4.post1", False),
        (events(("introduced", "1.0"), ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.3")), "1.5", False),
        (events(("introduced", "2.0"), ("fixed", "2.3"), ("introduced", "1.0"), ("fixed", "1.2")), "2.2", True),
        (events(("introduced", "1.0"), ("fixed", "1.2"), ("introduced", "1.2")), "1.2", True),
        (events(("introduced", "0"), ("limit", "2.0")), "2.0", False),
        (events(("introduced", "0"), ("limit", "*")), "2.0", True),
        (events(), "1.0", False),
        ({"versions": ["1.0", "1.1"]}, "1.1.0", True),
        ({"versions": ["1.0", "1.1"]}, "1.2", False),
        ({"versions": ["not a version"]}, "1.2", False),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, "1.0", False),
        ({**events(("introduced", "3")), "versions": ["1.0"]}, "1.0", True),
        ({}, "1.0", False),
    ],
)
def test_which_versions_are_affected(entry: dict[str, Any], version: str, expected: bool) -> None:
    assert affects(entry, Version(version)) is expected


# Begins with 1, because an introduction in "0" means before every version, release candidates of 0 among them.
versions = st.builds(
    lambda release, suffix: Version(".".join(map(str, release)) + suffix),
    st.tuples(st.integers(1, 12), st.integers(0, 3)),
    st.sampled_from(["", "rc1", ".post1", "a2", ".dev3"]),
)


@settings(deadline=None)
@given(low=versions, high=versions, version=versions, last=st.booleans())
def test_a_range_holds_what_lies_between_its_ends(
    low: Version, high: Version, version: Version, last: bool
) -> None:
    low, high = sorted((low, high))
    end = "last_affected" if last else "fixed"
    entry = events(("introduced", str(low)), (end, str(high)))
    inside = low <= version <= high if last else low <= version < high
    assert affects(entry, version) is inside


@settings(deadline=None)
@given(ends=st.lists(versions, min_size=2, max_size=6, unique=True), version=versions, order=st.randoms())
def test_ranges_one_after_the_other_in_whatever_order(ends: list[Version], version: Version, order: Any) -> None:
    ends = sorted(ends)[: len(ends) // 2 * 2]
    marks = [(kind, str(each)) for each, kind in zip(ends, ["introduced", "fixed"] * len(ends), strict=False)]
    order.shuffle(marks)
    inside = any(a <= version < b for a, b in zip(ends[::2], ends[1::2], strict=True))
    assert affects(events(*marks), version) is inside


REQUIREMENTS = """
# comment
Pillow==10.2.0 ; python_version >= "3.11"
numpy == 2.1.0 \\
    --hash=sha256:AB12 \\
    --hash=sha256:cd34
--find-links wheels
scipy>=1.14
six==1.*
thing @ file:wheels/thing.whl
"""


def test_requirements_are_read_as_pip_reads_them() -> None:
    pins = read_pins({"requirements.txt": REQUIREMENTS.encode()}, {})
    assert pins is not None
    assert {pin.name: pin.version for pin in pins} == {
        "pillow": "10.2.0",
        "numpy": "2.1.0",
        "scipy": None,
        "six": None,
        "thing": None,
        "--find-links wheels": None,
    }
    assert next(pin for pin in pins if pin.name == "numpy").hashes == ("sha256:ab12", "sha256:cd34")


def test_conda_is_read_and_agreeing_pins_are_one() -> None:
    conda = (
        b"dependencies: [python=3.11, 'pip<=26.0', 'conda-forge::opencv=4.9.0=py311', "
        b"{pip: [Pillow==10.2.0, mlflow]}]"
    )
    pins = read_pins(
        {"requirements.txt": b"pillow==10.2", "conda.yaml": conda}, {("opencv", "4.9.0"): ("sha256:1",)}
    )
    assert pins is not None
    assert [(pin.name, pin.version) for pin in pins] == [
        ("mlflow", None), ("opencv", "4.9.0"), ("pillow", "10.2"), ("pillow", "10.2.0"),
    ]  # fmt: skip
    assert pins[1].hashes == ("sha256:1",)
    assert read_pins({}, {}) is None
    with pytest.raises(EvidenceError, match="no list of dependencies"):
        read_pins({"conda.yaml": b"name: x"}, {})
    with pytest.raises(EvidenceError, match=r"requirements\.txt is not UTF-8"):
        read_pins({"requirements.txt": b"\xff"}, {})


def test_a_lock_gives_hashes_or_says_that_it_has_none(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2.1.0 \\\n    --hash=sha256:ab\nscipy==1.0\n")
    assert read_lock(lock) == {("numpy", "2.1.0"): ("sha256:ab",)}
    lock.write_text("scipy==1.0\n")
    with pytest.raises(PolicyError, match=r"lock\.txt holds no pinned requirement with a hash"):
        read_lock(lock)
    with pytest.raises(PolicyError, match="cannot be read"):
        read_lock(tmp_path / "nowhere.txt")


PINS = (Pin(name="pillow", version="10.2.0"), Pin(name="numpy", version="2.1.0"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the audit asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_a_file_a_list_a_folder_and_an_archive_say_the_same(tmp_path: Path) -> None:
    others = [record("GHSA-2", "other"), {**record("GHSA-3"), "withdrawn": MODIFIED}]
    records = [record(), *others, {"id": "RUSTSEC-1", "modified": MODIFIED, "affected": [
        {"package": {"ecosystem": "crates.io", "name": "pillow"}, "versions": ["10.2.0"]}]}]  # fmt: skip
    (tmp_path / "list.json").write_text(json.dumps(records))
    (tmp_path / "answer.json").write_text(json.dumps({"vulns": records}))
    (tmp_path / "folder" / "PyPI").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for each in records:
            (tmp_path / "folder" / "PyPI" / f"{each['id']}.json").write_text(json.dumps(each))
            archive.writestr(f"{each['id']}.json", json.dumps(each))
    for name in ("list.json", "answer.json", "folder", "all.zip"):
        found = audit(tmp_path / name, PINS)
        assert [(each.package, each.version, each.id) for each in found.findings] == [
            ("pillow", "10.2.0", "PYSEC-2026-1")
        ], name
        assert found.findings[0].fixed == ("10.3.0",)
        assert found.findings[0].summary == "Reads beyond the end"
        assert (found.records, found.newest) == (2, int(datetime.fromisoformat(MODIFIED).timestamp() * 1000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "are not JSON"),
        ("[]", "hold no OSV record"),
        ('{"a": 1}', "no OSV record: expected id, modified and affected"),
        ('[{"id": "X", "modified": "yesterday"}]', "says not when it was modified"),
        ('[{"id": "X", "modified": "2026-01-01T00:00:00Z", "affected": 3}]', "no list of what it affects"),
        ('[{"id": "X", "modified": "2026-01-01T00:00:00Z", "affected": ["a"]}]', "no list of what it affects"),
        (
            json.dumps(record(versions=["10.2.0"], **events(("introduced", "0"), ("fixed", "soon")))),
            "PYSEC-2026-1 in .* cannot be read",
        ),
        (
            json.dumps(record(**events(("introduced", "0"), ("fixed", "soon")))),
            "PYSEC-2026-1 in .* cannot be read",
        ),
    ],
)
def test_what_is_no_file_of_advisories_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "osv.json"
    path.write_text(text)
    with pytest.raises(PolicyError, match=message) as caught:
        audit(path, PINS)
    assert "osv.json" in str(caught.value)
    with pytest.raises(PolicyError, match=r"nowhere\.json cannot be read"):
        audit(tmp_path / "nowhere.json", PINS)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"bytes\.json cannot be read"):
        audit(tmp_path / "bytes.json", PINS)


def verdict(
    tmp_path: Path, pins: tuple[Pin, ...] | None = PINS, *, days: float = 2, **rule: Any
) -> dict[str, Any]:
    """The rows of the gate by name: (passed, got)."""
    path = tmp_path / "osv.json"
    modified = (NOW - timedelta(days=days)).isoformat()
    path.write_text(json.dumps([{**record(), "modified": modified}]))
    shown = evidence(requirements=pins, audits={"osv.json": audit(path, pins or ())})
    rows = judge(policy("security", advisories="osv.json", max_age_days=14, **rule), shown, None, NOW).rows
    return {row.gate: (row.passed, row.got) for row in rows}


def test_a_known_vulnerability_fails_with_what_cures_it(tmp_path: Path) -> None:
    found = verdict(tmp_path)
    assert found["known vulnerabilities"] == (False, "pillow 10.2.0: PYSEC-2026-1, fixed in 10.3.0")
    assert found["packages pinned"] == (True, "2 packages, all pinned")
    assert found["age of advisories"][0]
    assert verdict(tmp_path, (Pin(name="pillow", version="10.3.0"),))["known vulnerabilities"][0]


@pytest.mark.parametrize(("days", "passed"), [(13.9, True), (14.1, False), (-3, False)])
def test_an_old_file_knows_no_new_vulnerability(tmp_path: Path, days: float, passed: bool) -> None:
    assert verdict(tmp_path, days=days)["age of advisories"][0] is passed


@pytest.mark.parametrize(
    ("id", "until", "passed"),
    [
        ("PYSEC-2026-1", NOW.date(), True),
        ("cve-2026-0001", NOW.date(), True),
        ("PYSEC-2026-1", NOW.date() - timedelta(days=1), False),
        ("PYSEC-2026-2", date(2099, 1, 1), False),
    ],
)
def test_a_named_person_lets_one_pass_until_a_day(tmp_path: Path, id: str, until: date, passed: bool) -> None:
    excuse = {"id": id, "why": "pictures come from our own cameras", "by": "Ann", "until": until.isoformat()}
    assert verdict(tmp_path, ignore=[excuse])["known vulnerabilities"][0] is passed


def test_what_cannot_be_looked_up_fails(tmp_path: Path) -> None:
    found = verdict(tmp_path, (Pin(name="scipy", version=None), Pin(name="odd", version="r1234?")))
    assert found["packages pinned"] == (False, "odd, scipy")
    assert verdict(tmp_path, None) == {
        "known vulnerabilities": (False, "no requirements.txt and no conda.yaml in the model")
    }
    rows = judge(policy("security", advisories="x", max_age_days=1), evidence(), None, datetime.now(UTC)).rows
    assert [row.passed for row in rows] == [False]


def _pack(path: Path, *contents: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.json", content)
    return path


def _bounds(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    for name, value in bounds.items():
        monkeypatch.setattr(advisories, f"_{name.upper()}", value)


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times its size when it is unpacked."""
    _bounds(monkeypatch, largest_file=1_000_000)
    bomb = _pack(tmp_path / "all.zip", json.dumps(record()).encode(), b" " * 20_000_000)
    assert bomb.stat().st_size < 50_000
    with pytest.raises(PolicyError, match=r"all\.zip:1\.json .* makes them too large: at most 1000000"):
        audit(bomb, [])


def test_a_member_that_lies_of_its_size_is_not_unpacked_beyond_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bounds(monkeypatch, largest_file=1_000_000)
    bomb = _pack(tmp_path / "all.zip", b" " * 20_000_000)
    true, told = (size.to_bytes(4, "little") for size in (20_000_000, 900_000))
    bomb.write_bytes(bomb.read_bytes().replace(true, told))
    tracemalloc.start()
    with pytest.raises(PolicyError, match="advisories"):
        audit(bomb, [])
    assert tracemalloc.get_traced_memory()[1] < 15_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_too_much_in_all_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    text = json.dumps(record()).encode()
    if form == "archive":
        path = _pack(tmp_path / "all.zip", *[text] * 5)
    else:
        path = tmp_path / "folder"
        path.mkdir()
        for number in range(5):
            (path / f"{number}.json").write_bytes(text)
    _bounds(monkeypatch, most_files=5, largest_total=5 * len(text), largest_file=len(text))
    assert audit(path, []).records == 5
    _bounds(monkeypatch, largest_total=5 * len(text) - 1)
    with pytest.raises(PolicyError, match=rf"4\.json .* makes them too large: .*{5 * len(text) - 1} of all"):
        audit(path, [])
    _bounds(monkeypatch, most_files=4)
    with pytest.raises(PolicyError, match="hold 5 files, at most 4 are read"):
        audit(path, [])


def test_one_file_is_bounded_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([record()]))
    _bounds(monkeypatch, largest_file=path.stat().st_size - 1)
    with pytest.raises(PolicyError, match=r"list\.json among the advisories makes them too large"):
        audit(path, [])


def test_archives_that_are_broken_in_other_ways_say_so(tmp_path: Path) -> None:
    good = _pack(tmp_path / "all.zip", json.dumps(record()).encode()).read_bytes()
    method = good.replace(b"\x08\x00", b"\x63\x00")  # one that does not exist
    encrypted = good.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01").replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    )
    middle = len(good) // 3
    garbled = good[:middle] + bytes(255 - each for each in good[middle : middle + 20]) + good[middle + 20 :]
    for content in (method, encrypted, garbled):
        assert content != good
        (tmp_path / "all.zip").write_bytes(content)
        with pytest.raises(PolicyError, match=r"all\.zip cannot be read: .*; expected OSV records"):
            audit(tmp_path / "all.zip", [])
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(PolicyError, match=r"deep\.json are not JSON"):
        audit(tmp_path / "deep.json", [])
