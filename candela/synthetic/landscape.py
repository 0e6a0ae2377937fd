"""A landscape from a seed: fields, forest, water, roads, settlements, and what changes in it."""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.synthetic.noise import Field, fractal, hashed
from candela.synthetic.spectra import material_index

Cover = NDArray[np.uint8]
CROPLAND = 255  # stands in a cover map where the season decides what is seen
ROAD_BITS = 4  # positions given to OpenCV are in 1/16 pixel


class Change(IntEnum):
    """What the truth mask says of a pixel."""

    NONE = 0
    BUILDING = 1
    CLEARING = 2
    RESERVOIR = 3
    ROAD = 4


@dataclass(frozen=True)
class Landscape:
    """What lies where; every array has shape (size, size), pixels of 10 m.

    Attributes
    ----------
    cover : ndarray of uint8
        Index in ``spectra.MATERIALS``, or ``CROPLAND``.
    parcel : ndarray of int64
        A number 0..65535 for each field: its crop, soil and calendar hang on it.
    tone : ndarray of float32
        Brightness of the surface relative to its material, around 1.
    road : ndarray of float32
        Share of asphalt in the pixel, 0..1.
    height : ndarray of float32
        Height in metres.
    """

    cover: Cover
    parcel: NDArray[np.int64]
    tone: Field
    road: Field
    height: Field


def make_landscape(seed: int, size: int) -> Landscape:
    """Make a landscape of ``size`` x ``size`` pixels of 10 m from a seed."""
    random = np.random.default_rng(seed)
    height = 180 + 60 * fractal(random, size, 260, octaves=7, gain=0.48)
    parcel = _parcels(random, size)
    cover = np.full((size, size), CROPLAND, dtype=np.uint8)
    cover[_edges(parcel) & (hashed(parcel) % 3 > 0)] = material_index("meadow")
    _plant_forest(random, cover, height)
    _fill_water(random, cover, height)
    towns = _towns(random, cover)
    road = _roads(random, towns, size)
    road[cover == material_index("water")] *= 0.8  # bridges are narrower than their road
    tone = np.float32(1) + _texture(random, cover)
    for centre, radius in towns:
        _build_town(random, cover, centre, radius)
    return Landscape(cover, parcel, tone, road, height)


def alter(landscape: Landscape, seed: int) -> tuple[Landscape, NDArray[np.uint8]]:
    """Let some years pass.

    Returns
    -------
    Landscape
        The landscape with new buildings, clearings, a reservoir and a road.
    ndarray of uint8
        What changed where: values of ``Change``.
    """
    random = np.random.default_rng((seed, 1))
    size = len(landscape.cover)
    cover, road, tone = landscape.cover.copy(), landscape.road.copy(), landscape.tone.copy()
    truth = np.zeros((size, size), dtype=np.uint8)
    share = (size / 1098) ** 2  # of a landscape of 11 km
    for _ in range(max(2, round(7 * share))):
        _build_works(random, cover, truth)
    for _ in range(max(1, round(4 * share))):
        _clear_forest(random, cover, truth)
    for _ in range(max(1, round(1.4 * share))):
        _dam(random, cover, truth, landscape.height)
    added = _lay_road(random, size, landscape.road)
    road = np.maximum(road, added)
    truth[(added > 0.5) & (landscape.road < 0.3) & (truth == 0)] = Change.ROAD
    tone[truth > 0] = 1 + 0.04 * random.standard_normal(int((truth > 0).sum()))
    return Landscape(cover, landscape.parcel, tone, road, landscape.height), truth


def _parcels(random: np.random.Generator, size: int) -> NDArray[np.int64]:
    """Divide the land into districts, each with its own direction and size of fields."""
    seeds = np.ones((size, size), dtype=np.uint8)
    count = max(4, round((size / 160) ** 2))
    seeds[tuple(random.integers(0, size, (2, count)))] = 0
    _, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    wobble_x, wobble_y = (14 * fractal(random, size, 130, octaves=4) for _ in range(2))
    district = cv2.remap(
        labels.astype(np.float32), x + wobble_x, y + wobble_y, cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.int64)  # fmt: skip
    count = int(labels.max()) + 1
    angle = random.uniform(0, np.pi, count)[district]
    width = random.uniform(13, 34, count)[district]
    length = random.uniform(28, 80, count)[district]
    x, y = x + 0.25 * wobble_x, y + 0.25 * wobble_y
    across = (x * np.cos(angle) + y * np.sin(angle)) / width
    along = (y * np.cos(angle) - x * np.sin(angle)) / length
    strip = np.floor(across).astype(np.int64)
    piece = np.floor(along + hashed(district, strip) / 65536).astype(np.int64)
    splits = hashed(district, strip, piece) % 4 % 3 + 1  # 1, 2 or 3 fields side by side
    return hashed(district, strip, piece, np.floor(across * splits).astype(np.int64))


def _edges(parcel: NDArray[np.int64]) -> NDArray[np.bool_]:
    edges = np.zeros(parcel.shape, dtype=bool)
    edges[:-1] |= parcel[:-1] != parcel[1:]
    edges[:, :-1] |= parcel[:, :-1] != parcel[:, 1:]
    return edges


def _plant_forest(random: np.random.Generator, cover: Cover, height: Field) -> None:
    size = len(cover)
    favour = (
        0.55 * (height - height.mean()) / height.std()
        + 0.75 * fractal(random, size, 170, octaves=3)
        + 0.16 * fractal(random, size, 14, octaves=3)
    )
    forest = favour > 0.75
    conifer = fractal(random, size, 90, octaves=4) > 0.45
    cover[forest] = material_index("broadleaf")
    cover[forest & conifer] = material_index("conifer")


def _fill_water(random: np.random.Generator, cover: Cover, height: Field) -> None:
    size = len(cover)
    water = np.zeros((size, size), dtype=np.uint8)
    steps = np.linspace(-0.05, 1.05, 400)
    valley = 0.10 * fractal(random, 400, 160, octaves=2)[0]
    meanders = 0.012 * fractal(random, 400, 19, octaves=2)[0] * 1098 / size
    course = random.uniform(0.35, 0.65) + valley + meanders
    points = np.stack([steps * size, course * size], axis=1)
    if random.random() < 0.5:
        points = points[:, ::-1]
    fixed = np.round(points * 2**ROAD_BITS).astype(np.int32).reshape(-1, 1, 2)
    banks = water.copy()
    cv2.polylines(banks, [fixed], False, 1, 17, cv2.LINE_8, ROAD_BITS)
    cv2.polylines(water, [fixed], False, 1, 7, cv2.LINE_8, ROAD_BITS)
    cover[(banks > 0) & (fractal(random, size, 24, octaves=3) > -0.3)] = material_index("broadleaf")
    lakes = (height + 9 * fractal(random, size, 30, octaves=3)) < np.quantile(height, 0.012)
    cover[(water > 0) | lakes] = material_index("water")


def _towns(random: np.random.Generator, cover: Cover) -> list[tuple[NDArray[np.float64], float]]:
    size = len(cover)
    towns: list[tuple[NDArray[np.float64], float]] = []
    wanted = max(2, round(9 * (size / 1098) ** 2))
    for attempt in range(60 * wanted):
        centre = random.uniform(0.04, 0.96, 2) * size
        radius = size / 10 if attempt == 0 else float(random.lognormal(np.log(20), 0.4))
        radius = min(radius, 85.0)
        clear = all(np.hypot(*(centre - other)) > 2.2 * (radius + r) for other, r in towns)
        if clear and cover[int(centre[1]), int(centre[0])] == CROPLAND:
            towns.append((centre, radius))
        if len(towns) == wanted:
            break
    return towns


def _roads(
    random: np.random.Generator, towns: list[tuple[NDArray[np.float64], float]], size: int
) -> Field:
    share = np.zeros((size, size), dtype=np.uint8)
    exits = [random.uniform(0, size, 2) * (1, 0) + (0, side * size) for side in (0, 1)]
    exits += [random.uniform(0, size, 2) * (0, 1) + (side * size, 0) for side in (0, 1)]
    points = [centre for centre, _ in towns]
    for index, start in enumerate(points):
        others = sorted(
            points[:index] + points[index + 1 :], key=lambda p: float(np.hypot(*(p - start)))
        )
        for end in others[:2]:
            _draw_road(random, share, start, end, thickness=1)
    for end in exits:
        nearest = min(points, key=lambda p: float(np.hypot(*(p - end))))
        _draw_road(random, share, nearest, end, thickness=2)
    return (share / np.float32(255) * np.float32(0.85)).astype(np.float32)


def _draw_road(
    random: np.random.Generator,
    share: NDArray[np.uint8],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    *,
    thickness: int,
) -> None:
    t = np.linspace(0, 1, 60)[:, None]
    normal = np.array([start[1] - end[1], end[0] - start[0]])
    bend = random.normal(0, 0.07) * np.sin(np.pi * t) + random.normal(0, 0.025) * np.sin(
        3 * np.pi * t
    )
    points = start * (1 - t) + end * t + bend * normal
    fixed = np.round(points * 2**ROAD_BITS).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(share, [fixed], False, 255, thickness, cv2.LINE_AA, ROAD_BITS)


def _texture(random: np.random.Generator, cover: Cover) -> Field:
    size = len(cover)
    fine = fractal(random, size, 3.2, octaves=2, gain=0.8)
    coarse = fractal(random, size, 60, octaves=4)
    forest = (cover == material_index("broadleaf")) | (cover == material_index("conifer"))
    texture = np.where(forest, 0.13 * fine + 0.07 * coarse, 0.035 * fine + 0.05 * coarse)
    texture[cover == material_index("water")] *= 0.4
    return texture.astype(np.float32)


def _build_town(
    random: np.random.Generator, cover: Cover, centre: NDArray[np.float64], radius: float
) -> None:
    """Fill a ragged disc with streets, houses and gardens; denser towards the centre."""
    reach = int(radius * 1.6) + 2
    top, left = max(0, int(centre[1]) - reach), max(0, int(centre[0]) - reach)
    part = cover[top : int(centre[1]) + reach, left : int(centre[0]) + reach]
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]].astype(np.float64)
    dx, dy = x - centre[0], y - centre[1]
    side = max(part.shape)
    ragged = 1 + 0.28 * fractal(random, side, 26, octaves=3)[: part.shape[0], : part.shape[1]]
    depth = 1 - np.hypot(dx, dy) / (radius * ragged)  # 1 in the centre, 0 at the edge
    angle = random.uniform(0, np.pi / 2) + 0.004 * dx
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    street = (np.mod(u, 9) < 1) | (np.mod(v, 13) < 1)
    lot = hashed(np.floor(u / 1.8).astype(np.int64), np.floor(v / 2.2).astype(np.int64))
    block = hashed(np.floor(u / 9).astype(np.int64), np.floor(v / 13).astype(np.int64))
    town = (depth > 0) & (part != material_index("water"))
    house = town & (lot % 1000 < 330 + 420 * depth)
    part[town] = material_index("garden")
    part[house] = np.where(lot % 7 < 4, material_index("tile_roof"), material_index("grey_roof"))[
        house
    ]
    hall = town & (block % 23 == 0) & (depth < 0.6)
    part[hall] = material_index("bright_roof")
    park = town & (block % 17 == 1)
    part[park] = material_index("broadleaf")
    part[town & street] = material_index("asphalt")


def _place(
    random: np.random.Generator, allowed: NDArray[np.bool_], margin: int
) -> tuple[int, int] | None:
    """Return a random (row, col) around which a square of ``margin`` pixels is allowed."""
    roomy = cv2.erode(
        allowed.astype(np.uint8), np.ones((2 * margin + 1, 2 * margin + 1), np.uint8),
        borderValue=0,
    )  # fmt: skip
    rows, cols = np.nonzero(roomy)
    if len(rows) == 0:
        return None
    chosen = int(random.integers(len(rows)))
    return int(rows[chosen]), int(cols[chosen])


def _build_works(random: np.random.Generator, cover: Cover, truth: NDArray[np.uint8]) -> None:
    """Put a yard with halls on farmland."""
    half = int(random.integers(6, 14))
    place = _place(random, (cover == CROPLAND) & (truth == 0), half)
    if place is None:
        return
    corners = cv2.boxPoints(((place[1], place[0]), (1.5 * half, 1.2 * half), random.uniform(0, 90)))
    yard = np.zeros(cover.shape, dtype=np.uint8)
    cv2.fillConvexPoly(yard, np.round(corners).astype(np.int32), 1)
    cover[yard > 0] = material_index("asphalt")
    truth[yard > 0] = Change.BUILDING
    roofs = [material_index(name) for name in ("bright_roof", "grey_roof", "bright_roof")]
    for roof in roofs[: 1 + half // 5]:
        row, col = np.array(place) + random.integers(-half // 3, half // 3 + 1, 2)
        length, width = random.integers(3, max(4, half // 2 + 1), 2)
        hall = np.zeros(cover.shape, dtype=bool)
        hall[max(0, row - length) : row + length, max(0, col - width) : col + width] = True
        cover[hall & (yard > 0)] = roof


def _clear_forest(random: np.random.Generator, cover: Cover, truth: NDArray[np.uint8]) -> None:
    """Fell a ragged patch of forest; soil and brush remain."""
    forest = (cover == material_index("broadleaf")) | (cover == material_index("conifer"))
    place = _place(random, forest & (truth == 0), 5)
    if place is None:
        return
    size = len(cover)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    radius = random.uniform(9, 20)
    near = np.hypot(y - place[0], (x - place[1]) * random.uniform(0.7, 1.4))
    felled = forest & (near < radius * (1 + 0.25 * fractal(random, size, 16, octaves=3)))
    cover[felled] = material_index("soil")
    truth[felled] = Change.CLEARING


def _dam(
    random: np.random.Generator, cover: Cover, truth: NDArray[np.uint8], height: Field
) -> None:
    """Flood a basin of farmland around a low point."""
    low = height < np.quantile(height, 0.4)
    place = _place(random, (cover == CROPLAND) & (truth == 0) & low, 9)
    if place is None:
        return
    size = len(cover)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    ragged = 1 + 0.35 * fractal(random, size, 45, octaves=4)
    basin = np.hypot(y - place[0], 1.5 * (x - place[1])) < random.uniform(20, 32) * ragged
    _, labels = cv2.connectedComponents(basin.astype(np.uint8))
    basin &= labels == labels[place]
    cover[basin] = material_index("water")
    truth[basin] = Change.RESERVOIR


def _lay_road(random: np.random.Generator, size: int, existing: Field) -> Field:
    """Join two points of the network by a straight new road."""
    share = np.zeros((size, size), dtype=np.uint8)
    rows, cols = np.nonzero(existing > 0.6)
    if len(rows) < 2:
        return np.zeros((size, size), dtype=np.float32)
    ends = [
        np.array([cols[i], rows[i]], dtype=np.float64) for i in random.integers(0, len(rows), 2)
    ]
    _draw_road(random, share, ends[0], ends[1], thickness=2)
    return (share / np.float32(255)).astype(np.float32)
