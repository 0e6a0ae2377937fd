"""How MapServer draws a style: the part of a map file's layer that follows from it."""

from pathlib import Path

from candela.contract.layers import Range, RasterHeader
from candela.publish.base import LegendEntry
from candela.publish.decibels import virtual_raster
from candela.publish.styles import (
    CLASS_STEPS,
    ClassStyle,
    CompositeStyle,
    DecibelStyle,
    GreyStyle,
    PolygonStyle,
    RasterStyle,
    Style,
    Symbol,
)
from candela.publish.syntax import block, processing, quote

# To reproject, MapServer reads a raster at this many times the resolution of the picture; of its
# own it takes 2.5, which costs a sixth more time and puts pixels 0.05 pixels of the file better.
OVERSAMPLE = processing("OVERSAMPLE_RATIO=1.5")


def drawing(
    style: RasterStyle, header: RasterHeader, shown: Range | None, legend: tuple[LegendEntry, ...]
) -> list[str]:
    """Write what draws a raster in a style.

    Parameters
    ----------
    shown : tuple of float or None
        The values from black to white, where the style is grey.
    legend : tuple of LegendEntry
        The lines of the legend.
    """
    if isinstance(style, ClassStyle):
        return [OVERSAMPLE, *_classes(header, style)]
    rest = [
        block("CLASS", f"NAME {quote(label)}", block("STYLE", f"COLOR {quote(colours[-1])}"))
        for label, colours in legend
    ]  # for the legend alone: three bands are drawn without regard to classes
    if isinstance(style, GreyStyle):
        return [*_stretched(header.band_position(style.band), shown or (0, 1)), *rest]
    if isinstance(style, DecibelStyle):
        return [*_stretched(1, style.range), *rest]
    return [OVERSAMPLE, *_composite(header, style), *rest]


def drawn_raster(path: Path, style: Style, header: RasterHeader) -> str:
    """Return what MapServer opens to draw a raster in a style."""
    if isinstance(style, DecibelStyle):
        return virtual_raster(path, header, header.band_position(style.band))
    return str(path)


def drawn_polygons(style: PolygonStyle) -> list[str]:
    """Write what draws polygons in a style.

    NOTE: a missing value is an empty text, on which the intervals would fail: it comes first.
    """
    name = style.attribute
    last = style.classes[-1]
    conditions: list[tuple[Symbol, str]] = [(style.missing, f'("[{name}]" = "")')]
    for item in style.classes:
        below = "<=" if item is last else "<"
        limits = f"([{name}] >= {item.low:.17g} AND [{name}] {below} {item.high:.17g})"
        conditions.append((item, limits))
    return [
        block(
            "CLASS",
            f"NAME {quote(item.label)}",
            f"EXPRESSION {expression}",
            block("STYLE", f"COLOR {quote(item.colour)}", f"OPACITY {item.opacity}"),
            block("STYLE", f"OUTLINECOLOR {quote(item.colour)}", f"WIDTH {style.outline_px:g}"),
        )
        for item, expression in conditions
    ]


def all_values(header: RasterHeader) -> list[str]:
    """Write what gives the values of all bands."""
    positions = range(1, len(header.bands) + 1)
    return [processing(f"BANDS={','.join(str(position) for position in positions)}")]


def _classes(header: RasterHeader, style: ClassStyle) -> list[str]:
    last = style.classes[-1]
    return [
        processing(f"BANDS={header.band_position(style.band)}"),
        processing(f"SCALE={style.range[0]:.17g},{style.range[1]:.17g}"),
        processing(f"SCALE_BUCKETS={CLASS_STEPS}"),
        *(
            block(
                "CLASS",
                f"NAME {quote(item.label)}",
                f"EXPRESSION ([pixel] >= {item.low:.17g} AND "
                f"[pixel] {'<=' if item is last else '<'} {item.high:.17g})",
                block("STYLE", f"COLOR {quote(item.colour)}", f"OPACITY {item.opacity}"),
            )
            for item in style.classes
        ),
    ]


def _stretched(position: int, shown: Range) -> list[str]:
    """Draw one band as red, green and blue: one band alone would be classified."""
    return [
        processing(f"BANDS={position},{position},{position}"),
        processing(f"SCALE={shown[0]:.17g},{shown[1]:.17g}"),
    ]


def _composite(header: RasterHeader, style: CompositeStyle) -> list[str]:
    bands = [str(header.band_position(channel.band)) for channel in style.channels]
    return [
        processing(f"BANDS={','.join(bands)}"),
        *(
            processing(f"SCALE_{position}={channel.range[0]:.17g},{channel.range[1]:.17g}")
            for position, channel in enumerate(style.channels, 1)
        ),
    ]
