"""The layers of a job: images as map servers show them (WMS) and hand them out (WCS)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlencode

from candela.client.errors import NotFoundError
from candela.client.server import Server

WMS_VERSION = "1.3.0"
WCS_VERSION = "2.0.1"


class Box(NamedTuple):
    """A rectangle; degrees (WGS 84), or the units of a CRS named beside it."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, repr=False)
class Layer:
    """A published output.

    Attributes
    ----------
    output : str
        The output that is shown.
    wms, wcs : str
        The addresses of its services; QGIS and OWSLib take them as they are.
    """

    output: str
    wms: str
    wcs: str
    server: Server

    def __repr__(self) -> str:
        return f"<Layer of {self.output}: WMS {self.wms}, WCS {self.wcs}>"

    def _repr_png_(self) -> bytes:
        """Let a notebook show the map."""
        return self.image()

    @cached_property
    def map_service(self) -> Any:  # noqa: ANN401 - OWSLib has no types
        """OWSLib's ``WebMapService``, connected."""
        from owslib.wms import WebMapService

        return self.server.ask_owslib(lambda: WebMapService(self.wms, version=WMS_VERSION))

    @cached_property
    def coverage_service(self) -> Any:  # noqa: ANN401
        """OWSLib's ``WebCoverageService``, connected."""
        from owslib.wcs import WebCoverageService

        return self.server.ask_owslib(lambda: WebCoverageService(self.wcs, version=WCS_VERSION))

    @cached_property
    def name(self) -> str:
        """The name of the layer in its service."""
        names = list(self.map_service.contents)
        if not names:
            raise NotFoundError(f"{self.wms} serves no layer")
        return str(names[-1])

    @property
    def bounds(self) -> Box:
        """Where the layer is, in degrees."""
        return Box(*self.map_service.contents[self.name].boundingBoxWGS84)

    def map_url(
        self,
        box: Box | tuple[float, float, float, float] | None = None,
        *,
        crs: str = "CRS:84",
        width: int = 512,
        height: int | None = None,
    ) -> str:
        """Return the address of a picture of the layer (GetMap).

        Parameters
        ----------
        box : tuple, optional
            Left, bottom, right and top in ``crs``; by default the whole layer.
        crs : str
            ``CRS:84`` (degrees, longitude first) or a projected one such as ``EPSG:3857``.
        width, height : int
            In pixels; without a height, that which keeps the shape of the box.
        """
        shown = Box(*(box or self.bounds))
        if height is None:
            height = max(1, round(width * (shown.top - shown.bottom) / (shown.right - shown.left)))
        query = {
            "SERVICE": "WMS",
            "VERSION": WMS_VERSION,
            "REQUEST": "GetMap",
            "LAYERS": self.name,
            "STYLES": "",
            "CRS": crs,
            "BBOX": ",".join(f"{number:.9g}" for number in shown),
            "WIDTH": width,
            "HEIGHT": height,
            "FORMAT": "image/png",
            "TRANSPARENT": "TRUE",
        }
        return f"{self.wms}?{urlencode(query)}"

    def image(
        self,
        box: Box | tuple[float, float, float, float] | None = None,
        *,
        crs: str = "CRS:84",
        width: int = 512,
        height: int | None = None,
    ) -> bytes:
        """Fetch a picture of the layer, a PNG; parameters as for ``map_url``."""
        with self.server.get(self.map_url(box, crs=crs, width=width, height=height)) as answer:
            content: bytes = answer.content
        return content
