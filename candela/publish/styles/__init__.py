"""Styles: one YAML each, from which the map server's classes and every legend derive.

classes     intervals of one band's values, each with a colour
decibels    one band of power, from black to white by its logarithm
grey        one band, from black to white
composite   three bands as red, green and blue
polygons    polygons, each in the colour of the interval that one of its attributes is in
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from candela.contract.layers import Range
from candela.errors import PublicationError, SpecError
from candela.publish.base import LegendEntry

CLASS_STEPS = 1000  # a map server classifies floats in this many steps of the style's range

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")]
BandReference = str | int  # a description, or a position from 1


class Strict(BaseModel):
    """A frozen model that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Symbol(Strict):
    """How something is drawn, and what the legend says of it."""

    colour: Colour
    opacity: int = Field(default=100, gt=0, le=100)  # percent
    label: str


class Interval(Symbol):
    """Values from ``low`` up to but not including ``high`` (the last interval includes it)."""

    low: float
    high: float


class ClassStyle(Strict):
    """Values in intervals; what lies in none of them is transparent."""

    kind: Literal["classes"]
    title: str
    band: BandReference = 1
    range: Range
    classes: tuple[Interval, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "ClassStyle":
        low, high = self.range
        step = (high - low) / CLASS_STEPS
        for limit in (limit for item in self.classes for limit in (item.low, item.high)):
            steps = (limit - low) / step
            if not -1e-6 < steps < CLASS_STEPS + 1e-6 or abs(steps - round(steps)) > 1e-6:
                raise ValueError(
                    f"limit {limit:g} is not one of the {CLASS_STEPS} steps of {low:g}..{high:g}"
                )
        return self

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        return tuple(LegendEntry(item.label, (item.colour,)) for item in self.classes)


class DecibelStyle(Strict):
    """Power from black to white by its logarithm; what is beyond the range is black or white."""

    kind: Literal["decibels"]
    title: str
    band: BandReference = 1
    range: Range  # dB

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        low, high = self.range
        middle = LegendEntry(f"{(low + high) / 2:g} dB", ("#808080",))
        darkest, brightest = (f"{low:g} dB or less", f"{high:g} dB or more")
        return LegendEntry(darkest, ("#000000",)), middle, LegendEntry(brightest, ("#ffffff",))


class GreyStyle(Strict):
    """Values from black to white; without a range, most of the raster's values span it."""

    kind: Literal["grey"]
    title: str
    band: BandReference = 1
    range: Range | None = None


class Channel(Strict):
    """A band and the values that are black and full colour."""

    band: BandReference
    range: Range


class CompositeStyle(Strict):
    """Three bands as red, green and blue."""

    kind: Literal["composite"]
    title: str
    red: Channel
    green: Channel
    blue: Channel

    @property
    def channels(self) -> tuple[Channel, Channel, Channel]:
        """The three channels, in the order of a screen."""
        return self.red, self.green, self.blue

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        return tuple(
            LegendEntry(
                f"{channel.band}: {channel.range[0]:g} to {channel.range[1]:g}", ("#000000", colour)
            )
            for channel, colour in zip(
                self.channels, ("#ff0000", "#00ff00", "#0000ff"), strict=True
            )
        )


class PolygonStyle(Strict):
    """Polygons by intervals of an attribute: filled, with an outline that hides all below."""

    kind: Literal["polygons"]
    title: str
    attribute: str
    outline_px: float = Field(default=1, gt=0)
    classes: tuple[Interval, ...] = Field(min_length=1)
    missing: Symbol

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """All ways to look; the last one is where the attribute has no value."""
        return (*self.classes, self.missing)

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """What the colours mean."""
        return tuple(LegendEntry(item.label, (item.colour,)) for item in self.symbols)


RasterStyle = ClassStyle | DecibelStyle | GreyStyle | CompositeStyle
Style = RasterStyle | PolygonStyle
_adapter: TypeAdapter[Style] = TypeAdapter(Annotated[Style, Field(discriminator="kind")])


def _style_files() -> dict[str, Traversable]:
    """Return the files of styles by name: those of everybody, and those of processes.

    Raises
    ------
    SpecError
        If two have the same name.
    """
    services = [entry / "styles" for entry in files("candela.services").iterdir()]
    found: dict[str, Traversable] = {}
    for folder in (files(__name__), *(each for each in services if each.is_dir())):
        for item in folder.iterdir():
            name = item.name.removesuffix(".yaml")
            if name != item.name and name in found:
                raise SpecError(f"{item}: there is a style {name!r} already, {found[name]}")
            if name != item.name:
                found[name] = item
    return found


def style_names() -> list[str]:
    """List the styles there are."""
    return sorted(_style_files())


@cache
def load_style(name: str) -> Style:
    """Read a style.

    Raises
    ------
    PublicationError
        If there is no style of that name, or it is wrong.
    """
    found = _style_files()
    if name not in found:
        raise PublicationError(f"no style {name!r} (styles: {', '.join(sorted(found))})")
    try:
        return _adapter.validate_python(yaml.safe_load(found[name].read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise PublicationError(f"{found[name]}: {error}") from error


def shows(style: Style, kind: str) -> bool:
    """Tell whether a style is for outputs of a type."""
    return isinstance(style, PolygonStyle) == (kind != "raster")


def grey_legend(shown: Range) -> tuple[LegendEntry, ...]:
    """Return the legend of a grey style over the values that are shown."""
    low, high = shown
    return (
        LegendEntry(f"{low:.4g} or less", ("#000000",)),
        LegendEntry(f"{high:.4g} or more", ("#ffffff",)),
    )
