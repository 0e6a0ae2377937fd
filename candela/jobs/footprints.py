"""Where on Earth the result of a job lies."""

from collections.abc import Iterator
from typing import NamedTuple

from candela.contract.job import Box, OutputFile, ResultDocument
from candela.eo.projection import geographic_bounds
from candela.eo.reference_system import reference_system
from candela.errors import InputError

TURN = 360.0  # degrees


class Footprint(NamedTuple):
    """A rectangle in degrees (WGS 84, CRS84); ``east`` is above 180 across the antimeridian."""

    west: float
    south: float
    east: float
    north: float


def footprint_of(result: ResultDocument) -> Footprint | None:
    """Return the smallest rectangle around layers and bounding boxes of a result.

    Returns
    -------
    Footprint or None
        None if no output has a place on Earth.
    """
    places = list(_places(result))
    if not places:
        return None
    west, south, east, north = zip(*places, strict=True)
    return Footprint(min(west), min(south), max(east), max(north))


def _places(result: ResultDocument) -> Iterator[Footprint]:
    for output in result.outputs.values():
        if isinstance(output, OutputFile) and output.layer:
            yield across(output.layer.header.bounds)
        elif isinstance(output, Box):
            try:
                crs = reference_system(output.crs, "the box")
                yield across(geographic_bounds(output.bbox, crs, "the box"))
            except InputError:  # no place on Earth, such as a box of test numbers
                continue


def across(bounds: tuple[float, float, float, float]) -> Footprint:
    """Return a rectangle whose east edge lies east of its west edge."""
    west, south, east, north = bounds
    return Footprint(west, south, east + TURN if east < west else east, north)
