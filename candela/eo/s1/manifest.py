"""What the manifest of a Sentinel-1 product says: platform, orbit, processor, times, outline."""

import datetime as dt
import re
from typing import NoReturn
from xml.etree.ElementTree import Element

import shapely
from shapely.errors import ShapelyError

from candela.eo.s2.tiles import unwrap
from candela.errors import InputError

LONGEST_NUMBER = 12  # digits


class Manifest:
    """A manifest, whose elements are found by their names without namespaces.

    Parameters
    ----------
    root : Element
        Of ``manifest.safe``.
    product : str
        What messages call the product.

    All that is looked up raises ``InputError`` where it is missing or makes no sense.
    """

    def __init__(self, root: Element, product: str) -> None:
        self._product = product
        self._parents = {child: parent for parent in root.iter() for child in parent}
        self._elements: dict[str, list[Element]] = {}
        for element in root.iter():
            self._elements.setdefault(_local(element), []).append(element)

    def find(self, path: str) -> str:
        """Return the text of the first element of a name, or parent/name; empty if none."""
        *parents, name = path.split("/")
        for element in self._elements.get(name, []):
            if not parents or _local(self._parents[element]) == parents[0]:
                return (element.text or "").strip()
        return ""

    def text(self, path: str) -> str:
        """Return the text of an element; see ``find``."""
        text = self.find(path)
        if not text:
            raise InputError(f"manifest.safe of {self._product} has no {path}")
        return text

    def one_of(self, path: str, allowed: tuple[str, ...]) -> str:
        """Return a text that can be nothing but one of these; see ``find``."""
        text = self.text(path)
        if text not in allowed:
            self._refuse(path, text[:60], " or ".join(allowed))
        return text

    def integer(self, path: str, *, most: int = 10**LONGEST_NUMBER) -> int:
        """Return a whole number, 0 to ``most``; see ``find``."""
        text = self.text(path)
        if not (text.isdecimal() and len(text) <= LONGEST_NUMBER):
            self._refuse(path, text, "a number")
        if int(text) > most:
            self._refuse(path, text, f"a number up to {most}")
        return int(text)

    def time(self, path: str) -> dt.datetime:
        """Return a time, UTC; see ``find``."""
        text = self.text(path)
        try:
            return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        except ValueError:
            self._refuse(path, text, "a time")

    @property
    def processor(self) -> tuple[int, int]:
        """Version of ESA's processor: (3, 40) for IPF 003.40."""
        for element in self._elements.get("software", []):
            found = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", element.get("version", ""))
            if found and "IPF" in element.get("name", ""):
                return int(found[1]), int(found[2])
        raise InputError(
            f"manifest.safe of {self._product} does not say the version of its processor (IPF)"
        )

    @property
    def outline(self) -> shapely.Polygon:
        """What the product covers, degrees; longitudes go on beyond 180."""
        text = self.text("coordinates")
        try:
            pairs = [pair.split(",") for pair in text.split()]
            corners = [(float(longitude), float(latitude)) for latitude, longitude in pairs]
            outline = unwrap(shapely.Polygon(corners))
        except (ValueError, ShapelyError):
            self._refuse("coordinates", text[:60], "latitude,longitude for each corner")
        west, south, east, north = outline.bounds
        if not (outline.is_valid and west >= -360 and east <= 540 and south >= -90 and north <= 90):
            self._refuse("coordinates", text[:60], "the corners of a polygon, in degrees")
        return outline

    def _refuse(self, path: str, text: str, expected: str) -> NoReturn:
        raise InputError(
            f"{path} in manifest.safe of {self._product} is {text!r}, expected {expected}"
        )


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]
