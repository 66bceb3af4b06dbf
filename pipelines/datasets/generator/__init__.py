"""Camera scenes drawn from a small three-dimensional model, with boxes, tracks and exact crossings."""

from pipelines.datasets.generator.clips import GeneratedClip, generate_clip
from pipelines.datasets.generator.conditions import PRESETS, Conditions, Density
from pipelines.datasets.generator.pictures import generate_pictures
from pipelines.datasets.generator.sites import Site, site

__all__ = [
    "PRESETS",
    "Conditions",
    "Density",
    "GeneratedClip",
    "Site",
    "generate_clip",
    "generate_pictures",
    "site",
]
