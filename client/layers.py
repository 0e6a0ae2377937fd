"""The layers of a job: as map servers show them (WMS) and hand them out (WCS, WFS)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlencode

from candela.client.errors import NotFoundError
from candela.client.transport import Transport

WMS_VERSION = "1.3.0"
WCS_VERSION = "2.0.1"
WFS_VERSION = "2.0.0"
PAGE_FEATURES = 5000  # asked for at a time


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
    wms, wcs, wfs : str
        The addresses of its services; QGIS and OWSLib take them as they are. Images have a WCS,
        polygons a WFS; the other one is empty.
    """

    output: str
    wms: str
    wcs: str
    transport: Transport
    wfs: str = ""

    def __repr__(self) -> str:
        data = f"WFS {self.wfs}" if self.wfs else f"WCS {self.wcs}"
        return f"<Layer of {self.output}: WMS {self.wms}, {data}>"

    def _repr_png_(self) -> bytes:
        """Let a notebook show the map."""
        return self.image()

    @cached_property
    def map_service(self) -> Any:  # noqa: ANN401 - OWSLib has no types
        """OWSLib's ``WebMapService``, connected."""
        from owslib.wms import WebMapService

        return self.transport.service(WebMapService, "WMS", self.wms, WMS_VERSION)

    @cached_property
    def coverage_service(self) -> Any:  # noqa: ANN401
        """OWSLib's ``WebCoverageService``, connected."""
        from owslib.wcs import WebCoverageService

        return self.transport.service(WebCoverageService, "WCS", self.wcs, WCS_VERSION)

    @cached_property
    def feature_service(self) -> Any:  # noqa: ANN401
        """OWSLib's ``WebFeatureService``, connected."""
        from owslib.wfs import WebFeatureService

        return self.transport.service(WebFeatureService, "WFS", self.wfs, WFS_VERSION)

    def features(
        self,
        box: Box | tuple[float, float, float, float] | None = None,
        *,
        limit: int | None = None,
        page: int = PAGE_FEATURES,
    ) -> dict[str, Any]:
        """Fetch the polygons (GetFeature), page by page.

        Parameters
        ----------
        box : tuple, optional
            Left, bottom, right and top in degrees; by default all polygons.
        limit : int, optional
            The number of polygons, at most; by default all.
        page : int
            The number of polygons in one request.

        Returns
        -------
        dict
            A GeoJSON FeatureCollection, in degrees (longitude first).

        Raises
        ------
        NotFoundError
            If the layer shows no polygons.
        """
        if not self.wfs:
            raise NotFoundError(f"output {self.output} is served as an image, not as polygons")
        found: list[Any] = []
        while limit is None or len(found) < limit:
            count = page if limit is None else min(page, limit - len(found))
            url = self._features_url(box, start=len(found), count=count)
            members = self.transport.json(url)["features"]
            found += members
            if len(members) < count:
                break
        return {"type": "FeatureCollection", "features": found}

    def _features_url(
        self, box: tuple[float, float, float, float] | None, *, start: int, count: int
    ) -> str:
        query = {
            "SERVICE": "WFS",
            "VERSION": WFS_VERSION,
            "REQUEST": "GetFeature",
            "TYPENAMES": self.name,
            "OUTPUTFORMAT": "application/json",
            "SRSNAME": "EPSG:4326",
            "STARTINDEX": start,
            "COUNT": count,
        }
        if box:
            left, bottom, right, top = (f"{number:.12g}" for number in box)
            query["BBOX"] = f"{bottom},{left},{top},{right},urn:ogc:def:crs:EPSG::4326"
        return f"{self.wfs}?{urlencode(query)}"

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
        with self.transport.get(self.map_url(box, crs=crs, width=width, height=height)) as answer:
            content: bytes = answer.content
        return content
