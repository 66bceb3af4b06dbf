"""The bill of materials of the environment that serves a model, as CycloneDX 1.6 JSON (ECMA-424)."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any
from uuid import UUID, uuid5

from model_governance.errors import EvidenceError
from model_governance.evidence import Evidence

__all__ = ["bill_of_materials"]

_NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: names that are URLs


def bill_of_materials(evidence: Evidence, name: str) -> str:
    """Every package that the model pins, with the hashes that its lock allows, and the model's own files.

    The same model gives the same text: its serial number is worked out from the digests, and no time is in it.

    Parameters
    ----------
    name : str
        Of the registered model.

    Raises
    ------
    EvidenceError
        Where cyclonedx-python-lib, which writes it, is not installed.
    """
    try:
        bom_model, component_model, model, output = (
            import_module(f"cyclonedx.{part}") for part in ("model.bom", "model.component", "model", "output.json")
        )
        from packageurl import PackageURL
    except ImportError as error:
        raise EvidenceError(
            f"the bill of materials cannot be written, {error.name} is missing; install "
            "mlflow-camera-counting[server]"
        ) from error
    algorithm = {each.value.lower().replace("-", ""): each for each in model.HashAlgorithm}

    def hashes(listed: tuple[str, ...]) -> list[Any]:
        pairs = (each.partition(":") for each in listed)
        return [model.HashType(alg=algorithm[kind], content=digest) for kind, _, digest in pairs]

    kinds = component_model.ComponentType
    files = [
        component_model.Component(
            type=kinds.FILE, name=file.path, bom_ref=f"file:{file.path}", hashes=hashes((f"sha256:{file.sha256}",))
        )
        for file in evidence.artifact.files
    ]
    root = component_model.Component(
        type=kinds.MACHINE_LEARNING_MODEL,
        name=name,
        version=evidence.artifact.digest[:16],
        bom_ref="model",
        components=files,
        properties=[
            model.Property(name="model-governance:artifact-digest", value=evidence.artifact.digest),
            model.Property(name="model-governance:requirements", value=_told(evidence)),
        ],
    )
    packages = []
    for pin in evidence.requirements or ():
        address = PackageURL("pypi", name=pin.name, version=pin.version) if pin.version else None
        packages.append(
            component_model.Component(
                type=kinds.LIBRARY,
                name=pin.name,
                version=pin.version,
                bom_ref=str(address or f"unpinned:{pin.name}"),
                purl=address,
                external_references=[
                    # One package is many files, each with a hash of its own; the lock names them all.
                    model.ExternalReference(
                        type=model.ExternalReferenceType.DISTRIBUTION,
                        url=model.XsUri(f"https://pypi.org/project/{pin.name}/{pin.version}/"),
                        hashes=hashes(pin.hashes),
                    )
                ]
                if pin.hashes and pin.version
                else [],
            )
        )
    bom = bom_model.Bom(components=packages, serial_number=uuid5(_NAMESPACE, evidence.artifact.digest))
    bom.metadata.component = root
    bom.register_dependency(root, packages)
    content = json.loads(output.JsonV1Dot6(bom).output_as_string())
    # When it was written is the one thing that the library cannot leave out.
    content["metadata"].pop("timestamp", None)
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _told(evidence: Evidence) -> str:
    pins = evidence.requirements
    if pins is None:
        return "the model has no requirements.txt and no conda.yaml"
    unpinned = sum(pin.version is None for pin in pins)
    hashed = sum(bool(pin.hashes) for pin in pins)
    return f"{len(pins)} packages, {unpinned} of them unpinned, {hashed} with hashes"
