"""Sort observations by scene and time, drop duplicates, form consecutive pairs."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.grid import Grid
from candela.eo.s2.metadata import Metadata

LEAST_NEW = 0.02  # of what an image shows: less is what processings differ by at the edge

Coverage = NDArray[np.bool_]


@dataclass(frozen=True)
class Observation:
    """One image of a place at a time.

    Attributes
    ----------
    image : str
        How the user calls it.
    metadata : Metadata
        Names and dates.
    grid : Grid
        Where its pixels lie.
    is_product : bool
        Whether it is still a product; an image made from the same product is preferred.
    look : callable, optional
        Returns where it has data, on a coarse lattice of the grid, bool; called only where that
        decides something.
    """

    image: str
    metadata: Metadata
    grid: Grid
    is_product: bool = False
    look: Callable[[], Coverage | None] | None = field(default=None, compare=False)

    @property
    def acquisition(self) -> tuple[object, ...]:
        """What images of one place made from one overpass have in common."""
        data = self.metadata
        return data.platform, data.relative_orbit, data.sensing_time, data.tile_id

    @cached_property
    def coverage(self) -> Coverage | None:
        """Where it has data; None if that is not known."""
        return self.look() if self.look else None


class LeftOut(NamedTuple):
    """Something that was given and is not in the series."""

    image: str
    reason: str


class Scene(NamedTuple):
    """Observations on one grid, in order of time."""

    name: str
    grid: Grid
    observations: tuple[Observation, ...]


class Pair(NamedTuple):
    """Two consecutive observations of a scene."""

    scene: str
    before: Observation
    after: Observation

    @property
    def days(self) -> int:
        """Calendar days from one to the other."""
        return (
            self.after.metadata.sensing_time.date() - self.before.metadata.sensing_time.date()
        ).days


@dataclass(frozen=True)
class Series:
    """The result: scenes in order of their names, their pairs, what was left out, and notes."""

    scenes: tuple[Scene, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()

    @property
    def pairs(self) -> list[Pair]:
        """All consecutive pairs, scene by scene."""
        return [
            Pair(scene.name, before, after)
            for scene in self.scenes
            for earlier, later in pairwise(_acquisitions(scene.observations))
            for before, after in product(earlier, later)
            if len(earlier) == len(later) == 1 or _overlap(before, after)
        ]


def arrange(observations: Sequence[Observation], left_out: Iterable[LeftOut] = ()) -> Series:
    """Sort observations into a series.

    Parameters
    ----------
    observations : sequence of Observation
        In any order.
    left_out : iterable of LeftOut
        What was left out before.

    Returns
    -------
    Series

    Notes
    -----
    A scene is one grid (CRS, position, size) and one processing level: only such images can be
    compared pixel by pixel. Two observations are duplicates if platform, relative orbit, sensing
    time and tile agree, and none shows ground that the others do not: ESA gives a tile in two
    products where two ground stations got a part each, and both are kept. Of duplicates the newest
    processing baseline wins, then the latest time of processing, then an image before a product,
    then the one that was given first.
    """
    dropped, notes = list(left_out), list[str]()
    scenes = []
    groups = _group(observations)
    for name, members in zip(_names(groups), groups, strict=True):
        kept = _without_duplicates(members, dropped, notes)
        kept.sort(key=lambda item: item.metadata.sensing_time)  # parts stay side by side
        scenes.append(Scene(name, members[0].grid, tuple(kept)))
    return Series(tuple(sorted(scenes, key=lambda scene: scene.name)), tuple(dropped), tuple(notes))


def _group(observations: Sequence[Observation]) -> list[list[Observation]]:
    groups: list[list[Observation]] = []
    for item in observations:
        for group in groups:
            same_level = group[0].metadata.level == item.metadata.level
            if same_level and group[0].grid.matches(item.grid):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def _names(groups: Sequence[Sequence[Observation]]) -> list[str]:
    """Name each group by its tile; with level, pixel size and number only where that is needed."""
    leaders = [group[0] for group in groups]
    names = [_place(item) for item in leaders]
    for detail in (
        [item.metadata.level for item in leaders],
        [f"{item.grid.transform.a:g} m" for item in leaders],
    ):
        values = defaultdict(set)
        for name, value in zip(names, detail, strict=True):
            values[name].add(value)
        names = [
            f"{name} {value}" if len(values[name]) > 1 else name
            for name, value in zip(names, detail, strict=True)
        ]
    seen: dict[str, int] = defaultdict(int)
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if names.count(name) == 1 else f"{name} {seen[name]}")
    return numbered


def _place(item: Observation) -> str:
    if item.metadata.tile_id:
        return item.metadata.tile_id
    bounds = item.grid.bounds
    return f"{item.grid.crs or 'no CRS'} {bounds.left:.0f} {bounds.top:.0f}"


def _without_duplicates(
    members: Sequence[Observation], dropped: list[LeftOut], notes: list[str]
) -> list[Observation]:
    acquisitions: dict[tuple[object, ...], list[Observation]] = defaultdict(list)
    for item in members:
        acquisitions[item.acquisition].append(item)
    kept = []
    for same in acquisitions.values():
        best, *others = sorted(same, key=_freshness, reverse=True)
        parts = [best]
        for other in others:
            if _shows_more(other, parts):
                parts.append(other)
            else:
                dropped.append(LeftOut(other.image, _duplicate_reason(other, best)))
        kept += parts
        if len(parts) > 1:
            names = " and ".join(part.image for part in parts)
            notes.append(f"{names} show different parts of one acquisition: all are kept")
    return kept


def _shows_more(item: Observation, others: Sequence[Observation]) -> bool:
    """Tell whether an image has data where the others have none."""
    known = [other.coverage for other in others]
    if item.coverage is None or any(one is None for one in known):
        return False
    new = item.coverage & ~np.any([one for one in known if one is not None], axis=0)
    return bool(new.sum() >= max(1, LEAST_NEW * item.coverage.sum()))


def _overlap(first: Observation, second: Observation) -> bool:
    if first.coverage is None or second.coverage is None:
        return True
    return bool((first.coverage & second.coverage).any())


def _acquisitions(observations: Sequence[Observation]) -> list[list[Observation]]:
    """Group observations, which are in order of time, by acquisition."""
    return [list(same) for _, same in groupby(observations, key=lambda item: item.acquisition)]


def _freshness(item: Observation) -> tuple[tuple[int, ...], str, bool]:
    baseline = tuple(int(part) for part in re.findall(r"\d+", item.metadata.processing_baseline))
    made = re.search(r"_(\d{8}T\d{6})$", item.metadata.product_id)
    return baseline, made[1] if made else "", not item.is_product


def _duplicate_reason(item: Observation, best: Observation) -> str:
    ours, theirs = item.metadata.processing_baseline, best.metadata.processing_baseline
    reason = f"duplicate of {best.image}: same platform, orbit, time and tile"
    return reason if ours == theirs else f"{reason}, older baseline {ours} (there {theirs})"
