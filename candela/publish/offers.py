"""What the embedded map services offer: map files advertise it, the gateway's route allows it."""

PICTURE_FORMATS = ("image/png", "image/jpeg")
OPAQUE_PNG = "image/png; mode=24bit"  # of MapServer's, for pictures that are not transparent
LEGEND_FORMATS = ("image/png",)
INFO_FORMATS = ("text/plain", "application/vnd.ogc.gml", "application/json", "text/html")
COVERAGE_FORMAT = "image/tiff"
COVERAGE_NAME = "geotiff"  # what WCS 1.0.0 calls it
GEOJSON = "application/geo+json"
GML_FORMATS = {
    "1.0.0": ("GML2",),
    "1.1.0": ("text/xml; subtype=gml/3.1.1",),
    "2.0.0": (
        "text/xml; subtype=gml/3.2.1", "text/xml; subtype=gml/3.1.1", "text/xml; subtype=gml/2.1.2",
        "application/gml+xml; version=3.2",
    ),
}  # fmt: skip
VERSIONS = {
    "wms": ("1.3.0", "1.1.1"),
    "wcs": ("2.0.1", "1.0.0"),
    "wfs": ("2.0.0", "1.1.0", "1.0.0"),
}
OPERATIONS = {
    "wms": (
        "GetCapabilities", "GetMap", "GetLegendGraphic", "GetFeatureInfo", "GetStyles",
        "DescribeLayer",
    ),
    "wcs": ("GetCapabilities", "DescribeCoverage", "GetCoverage"),
    "wfs": (
        "GetCapabilities", "DescribeFeatureType", "GetFeature", "ListStoredQueries",
        "DescribeStoredQueries",
    ),
}  # fmt: skip
