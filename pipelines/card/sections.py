"""The sections of a model card, each from the record and from the texts; nothing in them is made up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.card.blocks import Block, Card, Commands, Facts, Items, Section, Table, Text
from pipelines.card.figures import (
    against_tables,
    behaviour_table,
    figure,
    headline_tables,
    robustness_table,
    slice_tables,
    slices_of,
)
from pipelines.card.record import ModelRecord
from pipelines.card.texts import CardTexts

__all__ = ["write_card"]

UNNAMED = "(pictures without a camera's name)"
FEW_SAMPLES = 30
"""Below so many pictures a slice's figures are told to be luck."""

_LEARNT_IN = ("train", "val")
_PARAMS = (
    *(
        "trainer",
        "model",
        "weights",
        "weights_digest",
        "library",
        "classes",
        "epochs",
        "image_size",
        "batch",
        "seed",
    ),
    *("input_shape", "confidence"),
)


def write_card(record: ModelRecord, texts: CardTexts) -> Card:
    """The card of a model."""
    metrics = {name: measured.value for name, measured in record.evidence.metrics.items()}
    sections = (
        Section("purpose", "Purpose", _text(texts.purpose)),
        Section("intended_use", "Intended use", _items(texts.intended_use)),
        Section("excluded_use", "Excluded use", _items(texts.excluded_use)),
        Section("model", "Model", _model(record, texts)),
        Section("data", "Data", _data(record, texts)),
        Section("metrics", "Figures", _metrics(record, metrics)),
        Section("slices", "Figures by part of the data", slice_tables(metrics)),
        Section("robustness", "Robustness", _tables(robustness_table(metrics))),
        Section("behaviour", "Behaviour", _tables(behaviour_table(metrics))),
        Section("against", "Against others", against_tables(metrics), required=False),
        Section("limits", "Limits", _limits(record, texts, metrics)),
        Section("privacy", "Privacy", _privacy(record, texts)),
        Section("reproduce", "How to reproduce", _reproduce(record)),
        Section("changes", "Changes", _changes(record), required=False),
        Section("approvals", "Gates and approvals", _approvals(record), required=False),
    )
    cameras = _camera_statements(record, texts)
    missing = [section.key for section in sections if section.required and not section.recorded]
    if not texts.limits and "limits" not in missing:
        missing.append("limits.known")  # what follows from the figures alone is no statement of limits
    missing += [f"data.licence.{origin or 'unknown origin'}" for origin in _without_licence(record, texts)]
    if record.cameras is None:
        missing.append("privacy.cameras")
    for name, said in cameras.items():
        if said["statement"] is None:
            missing.append(f"privacy.{name}")
        elif said["legal_basis"] is None:
            missing.append(f"privacy.{name}.legal_basis")
    return Card(_title(record), _identity(record), sections, tuple(missing), cameras)


def _title(record: ModelRecord) -> str:
    if record.version is None:
        return f"Model {record.model_id or record.evidence.run_id}"
    return (
        f"{record.version.name} {record.version.tags.get('semantic_version', f'version {record.version.version}')}"
    )


def _identity(record: ModelRecord) -> dict[str, str]:
    evidence, version = record.evidence, record.version
    identity = {
        "model_uri": evidence.model_uri,
        "model_id": record.model_id or "",
        "name": version.name if version else "",
        "version": str(version.version) if version else "",
        "semantic_version": version.tags.get("semantic_version", "") if version else "",
        "artifact_digest": evidence.artifact.digest,
        "run_id": evidence.run_id,
        "training_run_id": record.training.info.run_id,
        "evaluation_run_id": evidence.evaluation_run_id or "",
    }
    return {key: value for key, value in identity.items() if value}


def _text(text: str) -> tuple[Block, ...]:
    return (Text(" ".join(text.split())),) if text.strip() else ()


def _items(items: Iterable[str]) -> tuple[Block, ...]:
    told = tuple(" ".join(item.split()) for item in items)
    return (Items(told),) if told else ()


def _tables(table: Table | None) -> tuple[Block, ...]:
    return () if table is None else (table,)


def _model(record: ModelRecord, texts: CardTexts) -> tuple[Block, ...]:
    params = {**record.evidence.params, **record.training.data.params}
    params |= {key: value for key, value in record.evidence.params.items() if key in ("confidence", "input_shape")}
    facts = [
        (name.replace("_", " "), params[name]) for name in _PARAMS if params.get(name) not in (None, "", "None")
    ]
    artifact = record.evidence.artifact
    facts += [
        ("files", f"{len(artifact.files)}, {artifact.size / 1e6:.2f} MB"),
        ("digest of all files", artifact.digest),
        ("licence of the model", texts.model_licence or "not recorded"),
        ("contact", texts.contact or "not recorded"),
    ]
    return (Facts(tuple(facts)),)


def _data(record: ModelRecord, texts: CardTexts) -> tuple[Block, ...]:
    if not record.data:
        return ()
    rows = tuple(
        (
            use.context,
            use.name,
            use.digest[:16],
            "not recorded" if use.pictures is None else str(use.pictures),
            ", ".join(f"{number} {label}" for label, number in use.boxes.items()) or "not recorded",
            use.origin or "not recorded",
        )
        for use in record.data
    )
    blocks: list[Block] = [Table("Data sets", ("used for", "name", "digest", "pictures", "boxes", "origin"), rows)]
    licences = []
    for origin in dict.fromkeys(use.origin for use in record.data):
        source = texts.source_of(origin) if origin else None
        said = f"{source.licence}. {source.description}".strip() if source else "not recorded"
        licences.append((origin or "unknown origin", said))
    blocks.append(Table("Licences", ("origin", "licence"), tuple(licences)))
    if record.cameras is None:
        blocks.append(Text(f"Cameras: not recorded ({record.cameras_problem})."))
        return tuple(blocks)
    splits = tuple(dict.fromkeys(split for camera in record.cameras for split in camera.pictures))
    blocks.append(
        Table(
            "Cameras",
            ("camera", *splits, "clips"),
            tuple(
                (
                    camera.name or UNNAMED,
                    *(str(camera.pictures.get(split, 0)) for split in splits),
                    str(camera.clips),
                )
                for camera in record.cameras
            ),
        )
    )
    return tuple(blocks)


def _without_licence(record: ModelRecord, texts: CardTexts) -> list[str]:
    origins = dict.fromkeys(use.origin for use in record.data)
    return [origin for origin in origins if not origin or texts.source_of(origin) is None]


def _metrics(record: ModelRecord, metrics: Mapping[str, float]) -> tuple[Block, ...]:
    classes = dict.fromkeys(label for use in record.data for label in use.boxes)
    tables = headline_tables(metrics, classes)
    if not tables or record.evidence.evaluation_run_id is None:
        return ()  # figures of a training alone are not measured on a test
    times = [measured.timestamp for measured in record.evidence.metrics.values()]
    first, last = (datetime.fromtimestamp(at / 1000, UTC) for at in (min(times), max(times)))
    day = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    on = ", ".join(sorted(digest[:16] for digest in record.evidence.measured_on)) or "data that were not recorded"
    return (
        Text(f"Measured on {day} (UTC) on {on}, in run {record.evidence.evaluation_run_id}."),
        *tables,
    )


def _limits(record: ModelRecord, texts: CardTexts, metrics: Mapping[str, float]) -> tuple[Block, ...]:
    """What people know, and what follows from the figures."""
    blocks = [*_items(texts.limits)]
    found = [
        f"Only {each.n} test pictures with {each.column} {each.value}: figures of so few are luck."
        for each in slices_of(metrics)
        if each.n is not None and each.n < FEW_SAMPLES
    ]
    if record.cameras:
        tested = {camera.name for camera in record.cameras if camera.pictures.get("test")}
        learnt = {c.name for c in record.cameras if any(c.pictures.get(split) for split in _LEARNT_IN)}
        if tested and tested <= learnt:
            found.append(
                "Every camera of the test pictures was also learnt from: nothing is known of cameras elsewhere."
            )
    worse = {
        name.split("/")[1]: value
        for name, value in metrics.items()
        if name.startswith("robustness/") and name.endswith("/count/mae_ratio") and value > 1
    }
    for condition, ratio in sorted(worse.items(), key=lambda item: -item[1]):
        if condition not in ("mean", "worst"):
            found.append(f"Under {condition} the count error is {figure(ratio)} times that on clear pictures.")
    if found:
        blocks += [Text("What follows from the figures:"), Items(tuple(found))]
    return tuple(blocks)


def _camera_statements(record: ModelRecord, texts: CardTexts) -> dict[str, dict[str, Any]]:
    """By camera: its pictures, what is said of it, and by which right; None where nothing is said."""
    general = (texts.privacy.legal_basis if texts.privacy else "") or None
    found: dict[str, dict[str, Any]] = {}
    for camera in record.cameras or ():
        name = camera.name or UNNAMED
        said = texts.statement_of(camera.name, camera.origin) if camera.name else None
        fresh: dict[str, Any] = {
            "pictures": {},
            "statement": said.statement if said else None,
            "legal_basis": (said.legal_basis or general) if said else None,
        }
        known = found.setdefault(name, fresh)
        for split, number in camera.pictures.items():
            known["pictures"][split] = known["pictures"].get(split, 0) + number
        if said is None:
            known["statement"] = known["legal_basis"] = None  # the same name in data of which nothing is said
    return found


def _privacy(record: ModelRecord, texts: CardTexts) -> tuple[Block, ...]:
    if texts.privacy is None:
        return ()
    general = texts.privacy
    facts = (
        ("controller", general.controller),
        ("legal basis", general.legal_basis),
        ("retention", general.retention),
        ("rights of those who were filmed", general.rights),
    )
    blocks: list[Block] = [
        Text(" ".join(general.statement.split())),
        Facts(tuple((name, " ".join(value.split()) or "not recorded") for name, value in facts)),
    ]
    statements = _camera_statements(record, texts)
    if statements:
        rows = tuple(
            (
                name,
                " ".join(str(said["statement"] or "not recorded").split()),
                str(said["legal_basis"] or "not recorded"),
            )
            for name, said in statements.items()
        )
        blocks.append(Table("Cameras", ("camera", "statement", "legal basis"), rows))
    return tuple(blocks)


def _reproduce(record: ModelRecord) -> tuple[Block, ...]:
    tags = {**record.evidence.tags, **record.training.data.tags}
    commit = tags.get("lineage.git_commit") or tags.get("mlflow.source.git.commit")
    wanted = (
        ("commit", commit),
        ("uncommitted changes", {"true": "yes", "false": "no"}.get(tags.get("lineage.git_dirty", ""))),
        ("lock files", tags.get("lineage.lock_digest")),
        ("environment", tags.get("lineage.environment_digest")),
        ("Python", tags.get("lineage.python")),
        ("system", tags.get("lineage.platform")),
        ("cores", tags.get("lineage.cpu_count")),
        ("GPU", tags.get("lineage.gpu")),
        ("seed", record.training.data.params.get("seed")),
    )
    if not any(value for _, value in wanted):
        return ()
    run_id = record.training.info.run_id
    lines = [f"mlflow run . -e reproduce -P {shlex.quote(f'run_id={run_id}')}"]
    # A tag may say anything; what somebody types has to be a commit.
    if commit and re.fullmatch(r"[0-9a-fA-F]{7,64}", commit):
        lines.insert(0, f"git checkout {commit}")
    lines.append(
        f"mlflow run . -e evaluate -P {shlex.quote(f'model_uri={record.evidence.model_uri}')} -P data=DATA"
    )
    return Facts(tuple((name, value or "not recorded") for name, value in wanted)), Commands(tuple(lines))


def _changes(record: ModelRecord) -> tuple[Block, ...]:
    notes = record.notes
    if notes is None:
        return ()
    after = f", after {notes.follows}" if notes.follows else ""
    why = notes.reason or "no reason told"
    blocks: list[Block] = [Text(f"{notes.semantic_version}{after}, registered {notes.created:%Y-%m-%d}: {why}.")]
    rows = tuple(
        (
            each.metric,
            figure(each.before),
            figure(each.after),
            each.verdict + ("" if each.same_data else " (measured on other data)"),
        )
        for each in notes.metrics
        if each.better is not None
    )
    if rows:
        blocks.append(Table("Figures", ("metric", "before", "now", "so it is"), rows))
    return (*blocks, *_items((*notes.data, *notes.params, *notes.code, *notes.missing)))


def _approvals(record: ModelRecord) -> tuple[Block, ...]:
    version = record.version
    if version is None:
        return ()
    tags = version.tags
    names = (
        *("gates", "review", "approved_by", "approved_at", "approval_comment", "rejected_by"),
        *("rejection_comment", "rolled_back_by", "rolled_back_reason", "policy_digest"),
    )
    facts = [(name.replace("_", " "), tags[name]) for name in names if tags.get(name)]
    facts.append(
        ("champion today", "yes" if record.standing and record.standing.champion == str(version.version) else "no")
    )
    blocks: list[Block] = [Facts(tuple(facts))]
    if record.verdict is not None:
        rows = tuple(
            ("passed" if row.passed else "failed", row.gate, row.expected, row.got, row.reason)
            for row in sorted(record.verdict.rows, key=lambda row: row.passed)
        )
        blocks.append(Table("Gates", ("", "gate", "expected", "got", "why"), rows))
    return tuple(blocks)
