"""Time series: layers that differ in time and place only, served as one layer."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from candela.contract.layers import Range
from candela.publish.base import LayerLinks, LegendEntry, ServedSeries
from candela.publish.record import LayerRecord
from candela.publish.styles import GreyStyle, Style, grey_legend, load_style


@dataclass(frozen=True)
class Series:
    """The layers of a time series, in order of time.

    All have the process, output, owner and style, the coordinate reference system, the bands and
    the data type of the first one.
    """

    name: str
    records: tuple[LayerRecord, ...]

    @property
    def first(self) -> LayerRecord:
        """The oldest layer; what all have in common is its."""
        return self.records[0]

    @property
    def times(self) -> tuple[dt.datetime, ...]:
        """The different times, in order."""
        return tuple(sorted({time for record in self.records if (time := record.time)}))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The box of all layers, in units of their CRS."""
        return _box(record.header.extent for record in self.records)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The box of all layers, in degrees."""
        return _box(record.header.bounds for record in self.records)

    @property
    def title(self) -> str:
        """For people."""
        kind = self.first.layer.title.partition(":")[0]
        return f"{kind}: time series, EPSG:{self.first.header.epsg}"

    @property
    def abstract(self) -> str:
        """For people."""
        return f"{len(self.records)} results of {self.first.layer.process}, by date."

    @property
    def style(self) -> Style:
        """The style of all layers."""
        return load_style(self.first.layer.style)

    @property
    def shown(self) -> Range | None:
        """The values from black to white, where the style is grey."""
        ranges = [record.shown for record in self.records if record.shown]
        if not ranges:
            return None
        lows, highs = zip(*ranges, strict=True)
        return min(lows), max(highs)

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        style = self.style
        return grey_legend(self.shown or (0, 1)) if isinstance(style, GreyStyle) else style.legend

    def served(self, links: LayerLinks) -> ServedSeries:
        """Return the series with where it is served."""
        names = tuple(record.layer.name for record in self.records)
        return ServedSeries(self.name, self.title, self.first.layer.owner, links, self.times, names)


def _box(
    boxes: Iterable[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def all_series(records: Sequence[LayerRecord]) -> dict[str, Series]:
    """Gather layers into time series, by name."""
    found: dict[str, list[LayerRecord]] = {}
    for record in records:
        if record.series:
            found.setdefault(record.series, []).append(record)
    return {
        name: Series(name, tuple(sorted(members, key=_order)))
        for name, members in sorted(found.items())
    }


def _order(record: LayerRecord) -> tuple[dt.datetime, str]:
    return record.time or record.published, record.layer.name
