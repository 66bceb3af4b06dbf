"""What stands still in a picture, each pixel looked up along its ray: ground, buildings, trees, sky."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.datasets.generator.projection import Projection
from pipelines.datasets.generator.sites import Site
from pipelines.datasets.generator.sketch import shift

__all__ = ["Backdrop", "backdrop"]

Image = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]

_FACADE_LEFT, _FACADE_WIDTH, _FACADE_HEIGHT, _PIXELS_PER_METRE = -70.0, 140.0, 16.0, 20


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A camera's empty picture.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
        RGB in plain daylight.
    depth : float32 array (H, W)
        Metres along the optical axis, for fog.
    glow : float32 array (H, W)
        0 to 1: windows that are lit at night.
    lamps : float32 array (H, W)
        0 to 1: how much of the street lamps' light falls there.
    """

    image: Image
    depth: Field
    glow: Field
    lamps: Field


def _noise(rng: np.random.Generator, size: int = 256) -> Field:
    """Tileable noise of several octaves, mean 0, deviation 1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(1, 6):
        cells = 2**octave * 4
        grid = rng.normal(size=(cells, cells)).astype(np.float32)
        grid = np.pad(grid, 2, mode="wrap")
        step = size // cells
        large = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += large[2 * step : 2 * step + size, 2 * step : 2 * step + size] * 0.62**octave
    return (total - total.mean()) / total.std()


def _look_up(texture: npt.NDArray, x: Field, y: Field) -> npt.NDArray:
    return cv2.remap(
        texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )


def _facades(rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], Field]:
    """The row of buildings seen straight on: RGB with a fourth channel that is 0 above the roofs; lit windows."""
    scale = _PIXELS_PER_METRE
    high, wide = int(_FACADE_HEIGHT * scale), int(_FACADE_WIDTH * scale)
    image = np.zeros((high, wide, 4), np.uint8)
    glow = np.zeros((high, wide), np.float32)
    walls = [(186, 172, 150), (150, 92, 74), (204, 196, 182), (128, 124, 120), (170, 140, 112), (112, 84, 70)]
    x = 0
    while x < wide:
        building = int(rng.uniform(8, 18) * scale)
        top = int(rng.uniform(5.5, 14.5) * scale)
        wall = np.array(walls[int(rng.integers(len(walls)))]) + rng.normal(0, 8, 3)
        right = min(wide, x + building)
        image[high - top :, x:right, :3] = np.clip(wall, 0, 255)
        image[high - top :, x:right, 3] = 255
        if rng.random() < 0.5:  # courses of brick or stone
            for y in range(high - top, high, max(3, int(0.22 * scale))):
                image[y, x:right, :3] = np.clip(wall * 0.86, 0, 255)
        image[high - top : high - top + int(0.35 * scale), x:right, :3] = np.clip(wall * 0.6, 0, 255)
        pane_w, pane_h = rng.uniform(0.9, 1.6), rng.uniform(1.2, 1.7)
        gap = pane_w + rng.uniform(0.7, 1.4)
        frame = np.clip(wall * (1.25 if rng.random() < 0.6 else 0.5), 0, 255)
        for storey in range(1, int(top / scale // 3)):
            y2 = high - int((storey * 3 + 0.9) * scale)
            y1 = y2 - int(pane_h * scale)
            for k in range(int((right - x) / scale // gap)):
                a = x + int((k * gap + (gap - pane_w) / 2) * scale)
                b = a + int(pane_w * scale)
                if y1 < high - top + 8 or b >= right:
                    continue
                cv2.rectangle(image, (a - 2, y1 - 2), (b + 2, y2 + 2), (*map(float, frame), 255), -1)
                glass = rng.uniform(40, 110)
                cv2.rectangle(image, (a, y1), (b, y2), (glass * 0.9, glass, glass * 1.1, 255), -1)
                cv2.rectangle(
                    image, (a, y1), (b, (y1 + y2) // 2), (glass * 1.2, glass * 1.3, glass * 1.4, 255), -1
                )
                cv2.line(image, ((a + b) // 2, y1), ((a + b) // 2, y2), (*map(float, frame), 255), 1)
                if rng.random() < 0.3:
                    glow[y1:y2, a:b] = rng.uniform(0.4, 1.0)
        _ground_floor(rng, image, glow, x, right, high)
        x = right + (int(rng.uniform(1, 6) * scale) if rng.random() < 0.25 else 0)
    rough = cv2.resize(_noise(rng), (wide, high), interpolation=cv2.INTER_LINEAR)[..., None]
    image[..., :3] = np.clip(image[..., :3] * (1 + 0.05 * rough), 0, 255).astype(np.uint8)
    return image, glow


def _ground_floor(
    rng: np.random.Generator, image: npt.NDArray[np.uint8], glow: Field, left: int, right: int, high: int
) -> None:
    scale = _PIXELS_PER_METRE
    shop = rng.random() < 0.55
    x = left + int(0.6 * scale)
    while x < right - 3 * scale:
        if rng.random() < 0.35:
            door = rng.uniform(30, 110, 3)
            cv2.rectangle(image, (x, high - int(2.2 * scale)), (x + scale, high), (*map(float, door), 255), -1)
            x += int(1.8 * scale)
            continue
        wide = int(rng.uniform(1.6, 3.2) * scale) if shop else int(1.1 * scale)
        low, top = (0.5, 2.4) if shop else (1.0, 2.3)
        y1, y2 = high - int(top * scale), high - int(low * scale)
        glass = rng.uniform(45, 95)
        cv2.rectangle(image, (x, y1), (x + wide, y2), (glass, glass * 1.05, glass * 1.1, 255), -1)
        for _ in range(4):  # things behind the pane
            a = x + int(rng.integers(max(1, wide - 8)))
            b = y1 + int(rng.integers(max(1, y2 - y1 - 6)))
            tone = rng.uniform(40, 190, 3)
            cv2.rectangle(image, (a, b), (a + int(rng.integers(4, 12)), min(y2, b + int(rng.integers(4, 14)))),
                          (*map(float, tone), 255), -1)  # fmt: skip
        if rng.random() < 0.5:
            glow[y1:y2, x : x + wide] = rng.uniform(0.4, 0.9)
        x += wide + int(rng.uniform(0.4, 1.2) * scale)
    if shop:
        sign = rng.uniform(30, 220, 3)
        y1, y2 = high - int(3.1 * scale), high - int(2.6 * scale)
        cv2.rectangle(image, (left + 6, y1), (right - 6, y2), (*map(float, sign), 255), -1)
        for k in range(left + 12, right - 16, 9):
            if rng.random() < 0.6:
                cv2.rectangle(image, (k, y1 + 3), (k + 5, y2 - 3), (240, 236, 225, 255), -1)


def _ground(place: Site, rng: np.random.Generator, x: Field, z: Field) -> Field:
    """Colours (H, W, 3) of the ground at world positions."""
    noise = _noise(rng)
    fine = _look_up(noise, x * 37, z * 37)
    coarse = _look_up(noise, x * 6, z * 6)
    broad = _look_up(noise, x * 1.4 + 80, z * 1.4)
    asphalt = rng.uniform(78, 112)
    paving = rng.uniform(140, 176)
    warm = rng.uniform(-6, 8)
    grass = np.array([86, 108, 62]) + rng.normal(0, 10, 3)
    out = np.empty((*x.shape, 3), np.float32)
    out[:] = grass
    out += (fine * 11 + coarse * 9 + broad * 7)[..., None]

    pavement = ((z >= place.near) & (z < place.kerb)) | ((z >= place.far_kerb) & (z <= place.facade + 1.5))
    slab = rng.uniform(0.5, 0.95)
    joint = (np.abs((x / slab) % 1 - 0.5) > 0.47) | (np.abs((z / slab) % 1 - 0.5) > 0.47)
    tone = _look_up(noise, np.floor(x / slab) * 31, np.floor(z / slab) * 17)
    paved = paving + fine * 4 + coarse * 4 + broad * 5 + tone * 3.5 - joint * 20
    out[pavement] = (paved[..., None] + np.array([warm, 0, -warm]))[pavement]

    road = (z >= place.kerb) & (z < place.far_kerb)
    middle = (place.lanes[0].z + place.lanes[1].z) / 2
    wear = sum(np.exp(-(((z - lane.z - s * 0.75) / 0.32) ** 2)) for lane in place.lanes for s in (-1, 1))
    tarred = asphalt + fine * 6 + coarse * 4 + broad * 6 + wear * 7
    for _ in range(5):  # repairs
        px, pz = rng.uniform(*place.reach), rng.uniform(place.kerb, place.far_kerb)
        patch = (np.abs(x - px) < rng.uniform(0.5, 2.5)) & (np.abs(z - pz) < rng.uniform(0.3, 0.9))
        tarred = np.where(patch, tarred - rng.uniform(6, 20), tarred)
    crack = np.abs(_look_up(noise, x * 3, z * 3 + 99) - 0.2) < 0.035
    tarred = tarred - crack * 16
    paint_worn = np.clip(0.85 + 0.15 * coarse, 0.4, 1)
    dashes = (np.abs(z - middle) < 0.075) & ((x % 6.0) < 3.0)
    edges = (np.abs(z - place.kerb - 0.3) < 0.05) | (np.abs(z - place.far_kerb + 0.3) < 0.05)
    zebra_at = place.line_at + rng.choice([-1, 1]) * rng.uniform(6, 10)
    zebra = (np.abs(x - zebra_at) < 1.5) & ((z % 1.0) < 0.5) & bool(rng.random() < 0.6)
    for marking in (dashes, edges, zebra):
        tarred = np.where(marking, tarred + (212 - tarred) * paint_worn, tarred)
    out[road] = (tarred[..., None] + np.array([0, 1, 3]))[road]

    kerb = (np.abs(z - place.kerb) < 0.1) | (np.abs(z - place.far_kerb) < 0.1)
    out[kerb] = (168 + fine * 6)[kerb][:, None]
    cover_x, cover_z = rng.uniform(-6, 6) + place.line_at, middle + rng.uniform(-1.5, 1.5)
    out[(x - cover_x) ** 2 + (z - cover_z) ** 2 < 0.09] = 58
    return out


def _sky(place: Site, rng: np.random.Generator, up: Field, along: Field) -> Field:
    high = np.clip(up * 2.2, 0, 1)[..., None]
    blue = np.array([118, 164, 216]) * high + np.array([206, 220, 232]) * (1 - high)
    cloud = _look_up(_noise(rng), (along * 90 + 500) % 256, (up * 260) % 256)
    cover = np.clip(cloud * 0.35 + rng.uniform(-0.1, 0.5), 0, 1)[..., None]
    return (blue * (1 - cover) + np.array([232, 235, 238]) * cover).astype(np.float32)


def _tree(
    rng: np.random.Generator, image: Field, depth: Field, view: Projection, x: float, z: float, tall: float
) -> None:
    (foot, top), far = view.project(np.array([[x, 0.0, z], [x, tall, z]]))
    if far.min() < 2:
        return
    scale = view.focal / float(far[0])
    layer = np.zeros(image.shape[:2], np.uint8)
    crown = image.copy()
    trunk = np.array([70, 56, 44]) + rng.normal(0, 6, 3)
    points = np.array(
        [
            foot + shift(-0.13 * scale, 0),
            foot + shift(0.13 * scale, 0),
            top + shift(0.05 * scale, 0.3 * tall * scale),
            top + shift(-0.05 * scale, 0.3 * tall * scale),
        ]
    )
    cv2.fillPoly(crown, [points.astype(np.int32)], tuple(map(float, trunk)), cv2.LINE_AA)
    cv2.fillPoly(layer, [points.astype(np.int32)], 255, cv2.LINE_AA)
    base = np.array([62, 92, 44]) + rng.normal(0, 12, 3)
    centre = top + shift(0, 0.22 * tall * scale)
    for step in range(260):
        angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        spread = np.array([np.cos(angle) * 0.32 * tall, np.sin(angle) * 0.26 * tall]) * radius * scale
        spot = centre + spread
        light = 0.5 + 0.55 * (step / 260) - 0.35 * spread[1] / (0.26 * tall * scale) * 0.6 + rng.normal(0, 0.1)
        size = max(1, int(rng.uniform(0.12, 0.34) * scale))
        where = (int(spot[0]), int(spot[1]))
        cv2.circle(crown, where, size, tuple(float(c) for c in np.clip(base * light, 0, 255)), -1, cv2.LINE_AA)
        cv2.circle(layer, where, size, 255, -1, cv2.LINE_AA)
    share = (layer.astype(np.float32) / 255)[..., None]
    image[:] = crown * share + image * (1 - share)
    depth[layer > 127] = float(far[0])


def backdrop(place: Site, view: Projection) -> Backdrop:
    """Paint a camera's empty picture, in the size of `view`; the same place gives the same picture."""
    rng = np.random.default_rng(np.random.SeedSequence([place.seed, 1]))
    rays = view.rays().astype(np.float32)
    dx, dy, dz = rays[..., 0], rays[..., 1], rays[..., 2]
    camera = place.viewpoint.height
    far = np.float32(1e4)
    to_ground = np.where(dy < -1e-4, camera / np.maximum(-dy, 1e-4), far)
    to_wall = np.where(dz > 1e-4, place.facade / np.maximum(dz, 1e-4), far)

    image = _sky(place, rng, dy, np.arctan2(dx, dz))
    depth = np.full(dy.shape, 300, np.float32)
    glow = np.zeros(dy.shape, np.float32)

    facades, lit = _facades(rng)
    x, y = dx * to_wall, camera + dy * to_wall
    u = (x - _FACADE_LEFT) * _PIXELS_PER_METRE
    v = (_FACADE_HEIGHT - y) * _PIXELS_PER_METRE
    inside = (to_wall < to_ground) & (u >= 0) & (u < facades.shape[1] - 1) & (v >= 0) & (v < facades.shape[0])
    # Farther than a texture is fine, a smaller one is looked up: no crawling edges.
    painted = cv2.remap(facades, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    wall = inside & (painted[..., 3] > 127)
    image[wall] = painted[..., :3][wall]
    depth[wall] = to_wall[wall]
    glow[wall] = cv2.remap(lit, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)[wall]

    ground = (to_ground <= to_wall) & (to_ground < 200)
    gx, gz = dx * to_ground, dz * to_ground
    colours = _ground(place, rng, np.clip(gx, -300, 300), np.clip(gz, -300, 300))
    image[ground] = colours[ground]
    depth[ground] = to_ground[ground]
    contact = wall & (y < 0.4)
    image[contact] *= 0.72

    for _ in range(int(rng.integers(1, 5))):
        if place.kind == "avenue":
            at = rng.uniform(*place.reach), place.near - rng.uniform(2.5, 6)
        else:
            at = rng.uniform(-18, 18), place.facade - 0.15
        if place.kind == "avenue" or rng.random() < 0.8:
            _tree(rng, image, depth, view, at[0], at[1], float(rng.uniform(4.5, 7.5)))

    lamps = np.zeros(dy.shape, np.float32)
    for lamp_x in np.arange(-60, 61, 13) + rng.uniform(0, 13):
        wx, wz = np.where(ground, gx, x), np.where(ground, gz, place.facade)
        wy = np.where(ground, 0, y)
        squared = (wx - lamp_x) ** 2 + (wz - place.far_kerb) ** 2 + (wy - 5.0) ** 2
        lamps += np.where(depth < 200, 18.0 / (squared + 12.0), 0).astype(np.float32)
    return Backdrop(np.clip(image, 0, 255).astype(np.uint8), depth, glow, np.clip(lamps, 0, 1.2))
