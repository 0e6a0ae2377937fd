import pytest
from rasterio.crs import CRS

from candela.eo.reference_system import reference_system
from candela.errors import InputError

UTM = CRS.from_epsg(32631)


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:32631", "epsg:32631", "EPSG::32631", "32631", "urn:ogc:def:crs:EPSG::32631",
        "urn:ogc:def:crs:EPSG:6.9:32631", "urn:ogc:def:crs:EPSG:32631",
        "urn:x-ogc:def:crs:EPSG::32631", "urn:EPSG:projectedCRS:32631",
        "http://www.opengis.net/def/crs/EPSG/0/32631", "https://epsg.io/32631",
        "http://www.opengis.net/gml/srs/epsg.xml#32631",
        "http://spatialreference.org/ref/epsg/32631/proj4/",
        UTM.to_wkt(), UTM.to_wkt(version="WKT2_2019"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_reference_system_is_read(text):
    assert reference_system(text, "parcels.geojson") == UTM


@pytest.mark.parametrize(
    "text", ["OGC:CRS84", "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "WGS 84",
             "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "CRS:84"],
)  # fmt: skip
def test_longitude_and_latitude_are_read_under_every_name(text):
    assert reference_system(text, "parcels.geojson") == CRS.from_epsg(4326)


@pytest.mark.parametrize(
    "text",
    [
        "", "/etc/passwd", "passwd", "file:/etc/passwd", "file:passwd", "http://127.0.0.1:9/x.prj",
        "/vsicurl/http://127.0.0.1:9/x", "+proj=utm +zone=31", "+init=epsg:32631", "{}", "EPSG:",
        "+proj=longlat +nadgrids=/etc/passwd", "EPSG:99999", "EPSG:\u00b3", "EPSG:abc",
        "AUTO:42001", "urn:ogc:def:crs:EPSG::" + "9" * 400, "EPSG:4978", "EPSG:5773",
        'LOCAL_CS["plan"]',
        'GEOGCS["cut off', "\ud800",
    ],
)  # fmt: skip
def test_a_text_that_is_no_name_of_a_reference_system_is_refused(text):
    with pytest.raises(InputError, match=r"parcels\.geojson"):
        reference_system(text, "parcels.geojson")


def test_a_definition_that_names_a_file_is_refused(tmp_path):
    grid = tmp_path / "grid.gsb"
    wkt = CRS.from_epsg(3857).to_wkt().replace("@null", str(grid))
    with pytest.raises(InputError, match="names files"):
        reference_system(wkt, "parcels.gpkg")
