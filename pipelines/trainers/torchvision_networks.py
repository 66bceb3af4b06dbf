"""Networks of torchvision: built from random numbers, and what they answer as one plain array.

Their own answers are lists of boxes that were suppressed already, of a length that differs by picture. A graph
that serves has one output of one shape: every candidate's box in pixels of the input and its score of each class,
laid out as YOLOv8 lays them out, so that the flavour's head for YOLOv8 decodes these, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small
from torchvision.models.detection import FCOS, fcos_resnet50_fpn, ssdlite320_mobilenet_v3_large
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from pipelines.trainers.trainer import TrainingError

__all__ = ["NETWORKS", "Network", "PlainOutput", "build_network", "candidates"]

Network: TypeAlias = SSD | FCOS


def build_network(model: str, classes: int, shape: tuple[int, int], *, smallest: float = 0.1) -> Network:
    """A network of random weights that takes pictures of `shape` as they are.

    Parameters
    ----------
    model : str
        A key of `NETWORKS`.
    classes : int
        How many it tells apart, the background not counted.
    shape : (height, width)
        Of its input, in pixels.
    smallest : float
        SSD: the smallest default box, as a share of the input. torchvision's own 0.2 suits COCO, where objects
        fill the picture; people and vehicles of a camera are smaller.

    Raises
    ------
    TrainingError
        Where there is no such network.
    """
    if model not in NETWORKS:
        raise TrainingError(
            f"expected a network out of {', '.join(NETWORKS)}, got {model!r}; a checkpoint is given as weights"
        )
    network = NETWORKS[model](classes, smallest)
    # It would scale pictures to what it was designed for; they come in the input's own size, and keep it.
    old = network.transform
    network.transform = GeneralizedRCNNTransform(
        min(shape), max(shape), old.image_mean, old.image_std, size_divisible=1, fixed_size=(shape[1], shape[0])
    )
    return network


def candidates(network: Network, pictures: Tensor, anchors: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Every candidate of a batch, not yet suppressed.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    pictures : float tensor of shape (B, 3, H, W)
        RGB from 0 to 1.
    anchors : float tensor of shape (A, 4), optional
        Those of pictures of this size, where they were worked out before.

    Returns
    -------
    boxes : tensor of shape (B, A, 4)
        x1, y1, x2, y2 in pixels of the input.
    scores : tensor of shape (B, A, classes)
        From 0 to 1. SSD: the softmax over classes and background; FCOS: the root of class score times centreness,
        as torchvision has it (Tian et al., FCOS, 2019, arXiv:1904.01355).
    """
    normal, levels = _features(network, pictures)
    heads = network.head(levels)
    if anchors is None:
        anchors = _anchors(network, normal, levels)
    if isinstance(network, SSD):
        scores = heads["cls_logits"].softmax(-1)[..., 1:]
        return _decoded(heads["bbox_regression"], anchors, network.box_coder.weights), scores
    scores = (heads["cls_logits"].sigmoid() * heads["bbox_ctrness"].sigmoid()).sqrt()
    return torch.stack([network.box_coder.decode(each, anchors) for each in heads["bbox_regression"]]), scores


class PlainOutput(nn.Module):
    """A network as a graph to serve: (1, 3, H, W) from 0 to 1 in, (1, 4 + classes, candidates) out.

    The first four rows are centre x, centre y, width and height in pixels of the input, the others the classes'
    scores: what `camera_counting.detectors.heads.YoloV8Head` reads. The anchors are constants of the graph.

    Parameters
    ----------
    network : Network
    shape : (height, width)
        Of the input.
    """

    anchors: Tensor

    def __init__(self, network: Network, shape: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.eval()
        with torch.no_grad():
            normal, levels = _features(network, torch.zeros(1, 3, *shape))
            self.register_buffer("anchors", _anchors(network, normal, levels))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        boxes, scores = candidates(self.network, pictures, self.anchors)
        corner, other = boxes[..., :2], boxes[..., 2:]
        return torch.cat([(corner + other) / 2, other - corner, scores], dim=-1).transpose(1, 2)


def _features(network: Network, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The normalised pictures, and what the backbone makes of them, finest level first."""
    mean = torch.tensor(network.transform.image_mean, dtype=pictures.dtype, device=pictures.device)
    deviation = torch.tensor(network.transform.image_std, dtype=pictures.dtype, device=pictures.device)
    normal = (pictures - mean[:, None, None]) / deviation[:, None, None]
    return normal, list(network.backbone(normal).values())


def _anchors(network: Network, normal: Tensor, levels: list[Tensor]) -> Tensor:
    sizes = [(int(normal.shape[2]), int(normal.shape[3]))] * len(normal)
    return network.anchor_generator(ImageList(normal, sizes), levels)[0]


def _decoded(codes: Tensor, anchors: Tensor, weights: tuple[float, ...]) -> Tensor:
    """SSD's boxes from their offsets: `BoxCoder.decode_single` with its clamp, for a batch at once."""
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2
    moved = codes[..., :2] / torch.tensor(weights[:2], dtype=codes.dtype, device=codes.device) * size + centre
    grown = codes[..., 2:] / torch.tensor(weights[2:], dtype=codes.dtype, device=codes.device)
    half = grown.clamp(max=math.log(1000.0 / 16)).exp() * size / 2
    return torch.cat([moved - half, moved + half], dim=-1)


def _ssdlite(classes: int, smallest: float) -> Network:
    network: Network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes + 1)
    network.anchor_generator = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=smallest, max_ratio=0.95)
    return network


def _fcos(backbone: Callable[..., nn.Module], channels: int, depth: int, classes: int, smallest: float) -> Network:
    """FCOS on the three finest stages of a MobileNetV3, with narrower and shorter heads than on a ResNet."""
    features: Any = backbone(weights=None, reduced_tail=True).features
    strided = [number for number, block in enumerate(features) if getattr(block, "_is_cn", False)]
    # A stage ends before the next one halves the picture; strides 8, 16 and 32.
    ends = [*(start - 1 for start in strided), len(features) - 1][-3:]
    pyramid = BackboneWithFPN(
        features,
        return_layers={str(end): str(level) for level, end in enumerate(ends)},
        in_channels_list=[features[end].out_channels for end in ends],
        out_channels=channels,
        extra_blocks=LastLevelP6P7(channels, channels),
        norm_layer=nn.BatchNorm2d,
    )
    anchors = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
    head = FCOSHead(channels, 1, classes, num_convs=depth)
    return _awake(FCOS(pyramid, classes, anchor_generator=anchors, head=head))


def _fcos_resnet50(classes: int, smallest: float) -> Network:
    return _awake(fcos_resnet50_fpn(weights=None, weights_backbone=None, num_classes=classes))


def _awake(network: FCOS) -> FCOS:
    """Let boxes begin at four strides' size instead of none.

    torchvision cuts distances off at zero. A head that begins around zero is pushed below it by the first steps of
    a training from random weights, and what is cut off has no gradient to come back by.
    """
    nn.init.constant_(network.head.regression_head.bbox_reg.bias, 2.0)
    return network


# name -> builder of (classes, smallest). Weights are always None here: with any other value torchvision downloads.
NETWORKS: Mapping[str, Callable[[int, float], Network]] = MappingProxyType(
    {
        "ssdlite320_mobilenet_v3_large": _ssdlite,
        "fcos_mobilenet_v3_small_fpn": partial(_fcos, mobilenet_v3_small, 64, 1),
        "fcos_mobilenet_v3_large_fpn": partial(_fcos, mobilenet_v3_large, 96, 2),
        "fcos_resnet50_fpn": _fcos_resnet50,
    }
)
