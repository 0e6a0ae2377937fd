"""WMS of published layers, asked by OWSLib."""

import io

import numpy as np
import pytest
import requests
from owslib.wms import WebMapService
from PIL import Image

from candela.publish.base import Layer
from candela.publish.styles import load_style

NATIVE = "EPSG:32632"
WINDOW = (600_000.0, 5_398_000.0, 602_000.0, 5_400_000.0)  # the first 200 x 200 pixels


def picture(wms, layer: str, **options) -> np.ndarray:
    request = {
        "layers": [layer], "srs": NATIVE, "bbox": WINDOW, "size": (200, 200),
        "format": "image/png", "transparent": True, **options,
    }  # fmt: skip
    answer = wms.getmap(**request)
    assert answer.info()["Content-Type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGBA"))


@pytest.fixture(params=["1.1.1", "1.3.0"])
def wms(request, gateway):
    return WebMapService(f"{gateway.url}/ows", version=request.param)


def test_the_capabilities_list_all_layers_and_nothing_else(wms) -> None:
    assert list(wms.contents) == ["ChangeDetect_1_change", "Jpeg2Tiff_2_image", "Other_3_height"]


def test_titles_survive_quotes_brackets_and_unicode(wms) -> None:
    title = wms["ChangeDetect_1_change"].title
    assert title == 'Wechsel "um" <Zürich> & [Umland] \\ 変化 zweite Zeile'


def test_the_attribution_names_copernicus(wms, gateway) -> None:
    text = requests.get(f"{gateway.url}/ows", timeout=10).text
    assert "contains modified Copernicus Sentinel data" in text


def test_addresses_in_the_capabilities_are_the_public_ones(wms, gateway) -> None:
    for operation in ("GetCapabilities", "GetMap", "GetFeatureInfo"):
        for method in wms.getOperationByName(operation).methods:
            assert method["url"].rstrip("?") == f"{gateway.url}/ows"


def test_a_layers_link_alone_is_its_whole_service(gateway, change_layer) -> None:
    link = gateway.publisher.links(change_layer.name).wms
    assert link == f"{gateway.url}/ows/{change_layer.name}/wms"
    for version in ("1.1.1", "1.3.0"):
        wms = WebMapService(link, version=version)
        assert list(wms.contents) == [change_layer.name]
        assert wms.getOperationByName("GetMap").methods[0]["url"].rstrip("?") == link
        assert picture(wms, change_layer.name).any()
    assert "WMS_Capabilities" in requests.get(link, timeout=10).text


def test_every_class_of_the_change_style_has_its_colour(wms, probability, change_layer) -> None:
    drawn = picture(wms, change_layer.name)
    values = probability[0, :200, :200]
    style = load_style("change")
    for item in style.classes:
        inside = (values >= item.low) & (values < item.high)
        wanted = [int(item.colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert inside.sum() > 1000
        assert np.abs(drawn[inside][:, :3].astype(int) - wanted).max() <= 1
        assert np.abs(drawn[inside][:, 3] - item.opacity * 2.55).max() <= 1


def test_no_change_and_nodata_are_transparent(wms, probability, change_layer) -> None:
    drawn = picture(wms, change_layer.name)
    values = probability[0, :200, :200]
    assert not drawn[values < 0.2][:, 3].any()
    assert not drawn[np.isnan(values)][:, 3].any()


def test_true_colour_takes_bands_by_name_and_stretches_them(wms, reflectance, image_layer) -> None:
    drawn = picture(wms, image_layer.name).astype(int)
    red, green, blue = (reflectance[i, :200, :200].astype(float) for i in (2, 1, 0))
    for index, values in enumerate((red, green, blue)):
        wanted = np.clip(values / 3000 * 255, 0, 255)
        assert np.abs(drawn[..., index] - wanted)[40:, 40:].max() <= 1.01
    assert (drawn[40:, 40:, 3] == 255).all()  # bright pixels beyond the range too


def test_nodata_is_transparent_but_a_dark_pixel_is_not(wms, image_layer) -> None:
    drawn = picture(wms, image_layer.name)
    assert not drawn[:40, :40, 3].any()
    assert (drawn[100:150, 100:150, 3] == 255).all()


def test_grey_goes_from_black_to_white(wms, grey_layer) -> None:
    drawn = picture(
        wms, grey_layer.name, srs="EPSG:32631", bbox=(600_000, 5_397_000, 603_000, 5_400_000),
        size=(300, 300),
    )  # fmt: skip
    row = drawn[10].astype(int)
    assert (row[:, 3] == 255).all()
    assert (np.diff(row[:, 0]) >= 0).all()
    assert (row[:5, :3] <= 1).all()
    assert (row[-5:, :3] >= 254).all()


@pytest.mark.parametrize(
    "crs",
    ["EPSG:3857", "EPSG:4326", "EPSG:32631", "EPSG:32633", "EPSG:3035", "EPSG:2154"],
)
def test_layers_are_drawn_in_other_systems(wms, crs, change_layer) -> None:
    from rasterio.warp import transform_bounds

    bounds = transform_bounds(NATIVE, crs, *WINDOW)
    drawn = picture(wms, change_layer.name, srs=crs, bbox=bounds)
    assert crs in wms[change_layer.name].crsOptions
    assert (drawn[..., 3] > 0).mean() > 0.6


def test_two_layers_are_drawn_over_each_other(wms, image_layer, change_layer) -> None:
    drawn = wms.getmap(
        layers=[image_layer.name, change_layer.name], srs=NATIVE, bbox=WINDOW, size=(200, 200),
        format="image/png", transparent=True,
    )  # fmt: skip
    both = np.asarray(Image.open(io.BytesIO(drawn.read())).convert("RGBA"))
    assert (both[60:70, 60:70, 3] == 255).all()  # the image shows through the hole
    assert not np.array_equal(both, picture(wms, image_layer.name))


@pytest.mark.parametrize("position", [(20, 30), (60, 70)])
def test_feature_info_gives_the_value_and_nan_does_no_harm(
    wms, position, probability, change_layer
) -> None:
    row, col = position
    answer = wms.getfeatureinfo(
        layers=[change_layer.name], query_layers=[change_layer.name], srs=NATIVE, bbox=WINDOW,
        size=(200, 200), info_format="text/plain", xy=(col, row),
    )  # fmt: skip
    text = answer.read().decode()
    value = float(text.split("value_0 = '")[1].split("'")[0])
    np.testing.assert_allclose(value, probability[0, row, col], rtol=1e-5)


def test_feature_info_gives_all_bands_under_their_names(wms, reflectance, image_layer) -> None:
    answer = wms.getfeatureinfo(
        layers=[image_layer.name], query_layers=[image_layer.name], srs=NATIVE, bbox=WINDOW,
        size=(200, 200), info_format="application/vnd.ogc.gml", xy=(180, 170),
    )  # fmt: skip
    text = answer.read().decode()
    for index, band in enumerate(("B02", "B03", "B04", "B08")):
        assert f"<{band}>{reflectance[index, 170, 180]}</{band}>" in text


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_layer_has_a_legend(wms, gateway, index) -> None:
    layer = list(wms.contents.values())[index]
    url = layer.styles["default"]["legend"]
    assert url.startswith(f"{gateway.url}/ows?")
    legend = Image.open(io.BytesIO(requests.get(url, timeout=10).content))
    alpha = np.asarray(legend.convert("RGBA"))[..., 3]
    assert legend.width > 50
    assert 0.1 < (alpha > 0).mean() < 0.9  # patches and letters


def test_the_patches_of_the_legend_graphic_have_the_colours_of_the_style(
    gateway, change_layer
) -> None:
    answer = requests.get(
        f"{gateway.publisher.links(change_layer.name).wms}?service=WMS&version=1.3.0"
        f"&request=GetLegendGraphic&layer={change_layer.name}&format=image/png&sld_version=1.1.0",
        timeout=10,
    )
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).reshape(-1, 4)
    expected = {
        (*(int(item.colour[i : i + 2], 16) for i in (1, 3, 5)), round(item.opacity * 2.55))
        for item in load_style("change").classes
    }
    coloured = pixels[np.ptp(pixels[:, :3].astype(int), axis=1) > 20]  # neither text nor paper
    colours, counts = np.unique(coloured, axis=0, return_counts=True)
    patches = colours[np.argsort(counts)[-len(expected) :]]  # the rest are their smoothed edges
    for colour in expected:  # of a translucent colour three steps are lost by rounding
        assert np.abs(patches.astype(int) - colour).max(axis=1).min() <= 3


def test_a_picture_above_the_limit_is_refused(wms, change_layer: Layer) -> None:
    from owslib.util import ServiceException

    with pytest.raises(ServiceException, match="4096"):
        picture(wms, change_layer.name, size=(5000, 5000))


def test_the_metadata_links_of_layers_lead_to_metadata(wms, change_layer) -> None:
    links = wms[change_layer.name].metadataUrls
    assert len(links) == 1
    assert "<gmd:MD_Metadata" in requests.get(links[0]["url"], timeout=10).text
