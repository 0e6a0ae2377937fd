"""Styles as Styled Layer Descriptors (OGC 02-070, SLD 1.0.0), for GeoServer."""

import math
from collections.abc import Callable

import numpy as np
from lxml import etree
from lxml.builder import ElementMaker

from candela.contract.layers import Range
from candela.publish.styles import (
    BandReference,
    ClassStyle,
    CompositeStyle,
    DecibelStyle,
    GreyStyle,
    Interval,
    PolygonStyle,
    RasterStyle,
    Style,
    Symbol,
)

OGC = "http://www.opengis.net/ogc"
SLD = "http://www.opengis.net/sld"
MEDIA_TYPE = "application/vnd.ogc.sld+xml"
BELOW_ALL = "#000000"
STEPS_PER_DB = 4  # of a ramp that stands for a logarithm

Position = Callable[[BandReference], int]

_make = ElementMaker(namespace=SLD, nsmap={None: SLD, "ogc": OGC})
_filter = ElementMaker(namespace=OGC)


def sld_text(style: Style, position: Position, *, name: str, shown: Range | None = None) -> bytes:
    """Write a style as an SLD.

    Parameters
    ----------
    position : callable
        Returns the position, from 1, of a band that the style names; polygons have none.
    name : str
        What the style is called.
    shown : tuple of float, optional
        The values from black to white, where the style is grey.
    """
    rules = (
        _polygon_rules(style)
        if isinstance(style, PolygonStyle)
        else [_make.Rule(_raster_symbolizer(style, position, shown))]
    )
    document = _make.StyledLayerDescriptor(
        _make.NamedLayer(
            _make.Name(name),
            _make.UserStyle(
                _make.Name(name),
                _make.Title(style.title),
                _make.FeatureTypeStyle(*rules),
            ),
        ),
        version="1.0.0",
    )
    return bytes(etree.tostring(document, xml_declaration=True, encoding="UTF-8"))


def _raster_symbolizer(
    style: RasterStyle, position: Position, shown: Range | None
) -> etree._Element:
    if isinstance(style, ClassStyle):
        return _classes(style, position)
    if isinstance(style, DecibelStyle):
        return _decibels(style, position)
    if isinstance(style, GreyStyle):
        return _symbolizer(_channel("GrayChannel", position(style.band), shown or (0, 1)))
    return _symbolizer(*_composite(style, position))


def _symbolizer(*channels: etree._Element) -> etree._Element:
    return _make.RasterSymbolizer(_make.Opacity("1.0"), _make.ChannelSelection(*channels))


def _composite(style: CompositeStyle, position: Position) -> list[etree._Element]:
    names = ("RedChannel", "GreenChannel", "BlueChannel")
    return [
        _channel(name, position(channel.band), channel.range)
        for name, channel in zip(names, style.channels, strict=True)
    ]


def _channel(name: str, position: int, shown: Range) -> etree._Element:
    """Stretch a band between two values; what is beyond them is black, or full."""
    low, high = shown
    return _make(
        name,
        _make.SourceChannelName(str(position)),
        _make.ContrastEnhancement(
            _make.Normalize(
                _make.VendorOption("StretchToMinimumMaximum", name="algorithm"),
                _make.VendorOption(f"{low:.17g}", name="minValue"),
                _make.VendorOption(f"{high:.17g}", name="maxValue"),
            )
        ),
    )


def _classes(style: ClassStyle, position: Position) -> etree._Element:
    """Write intervals; an entry colours the values from the entry before to below its own."""
    entries = []
    reached = -math.inf
    for item in sorted(style.classes, key=lambda item: item.low):
        if item.low > reached:
            below = f"below {item.low:g}" if math.isinf(reached) else f"{reached:g} to {item.low:g}"
            # GeoServer's legend has a red cross for what is transparent, with this beside it.
            entries.append(_entry(BELOW_ALL, item.low, 0.0, f"{below}  not drawn"))
        reached = item.high
        last = item is style.classes[-1]
        end = float(np.nextafter(np.float32(item.high), np.float32(math.inf))) if last else reached
        entries.append(_entry(item.colour, end, item.opacity / 100, item.label))
    symbolizer = _symbolizer(_make.GrayChannel(_make.SourceChannelName(str(position(style.band)))))
    symbolizer.append(_make.ColorMap(*entries, type="intervals"))
    return symbolizer


def _decibels(style: DecibelStyle, position: Position) -> etree._Element:
    """Write a ramp of power whose entries are decibels apart: between, it is almost straight."""
    low, high = style.range
    steps = round((high - low) * STEPS_PER_DB)
    entries = [
        _entry("#{0:02x}{0:02x}{0:02x}".format(round(255 * step / steps)), power, 1.0, "")
        for step in range(steps + 1)
        for power in [10 ** ((low + step / STEPS_PER_DB) / 10)]
    ]
    symbolizer = _symbolizer(_make.GrayChannel(_make.SourceChannelName(str(position(style.band)))))
    symbolizer.append(_make.ColorMap(*entries, type="ramp"))
    return symbolizer


def _entry(colour: str, quantity: float, opacity: float, label: str) -> etree._Element:
    attributes = {"color": colour, "quantity": f"{quantity:.9g}", "opacity": f"{opacity:g}"}
    return _make.ColorMapEntry(**attributes, **({"label": label} if label else {}))


def _polygon_rules(style: PolygonStyle) -> list[etree._Element]:
    last = style.classes[-1]
    found = [
        _rule(style, item, _between(style.attribute, item, is_closed=item is last))
        for item in style.classes
    ]
    is_missing = _filter.PropertyIsNull(_filter.PropertyName(style.attribute))
    return [*found, _rule(style, style.missing, is_missing)]


def _between(attribute: str, item: Interval, *, is_closed: bool) -> etree._Element:
    def compare(operator: str, limit: float) -> etree._Element:
        return _filter(operator, _filter.PropertyName(attribute), _filter.Literal(f"{limit:.17g}"))

    below = "PropertyIsLessThanOrEqualTo" if is_closed else "PropertyIsLessThan"
    return _filter.And(
        compare("PropertyIsGreaterThanOrEqualTo", item.low), compare(below, item.high)
    )


def _rule(style: PolygonStyle, symbol: Symbol, condition: etree._Element) -> etree._Element:
    def parameters(**values: object) -> list[etree._Element]:
        return [
            _make.CssParameter(str(value), name=name.replace("_", "-"))
            for name, value in values.items()
        ]

    fill = parameters(fill=symbol.colour, fill_opacity=f"{symbol.opacity / 100:g}")
    stroke = parameters(stroke=symbol.colour, stroke_width=f"{style.outline_px:g}")
    return _make.Rule(
        _make.Title(symbol.label),
        _filter.Filter(condition),
        _make.PolygonSymbolizer(_make.Fill(*fill), _make.Stroke(*stroke)),
    )
