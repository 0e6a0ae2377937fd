"""Results as STAC items: what they hold, how they are found, and who finds them."""

import datetime as dt
from dataclasses import replace

import pytest
from mapped_jobs import add_mapped_job, raster
from pystac import Item
from pystac.validation import validate_dict

from candela.errors import InvalidValueError
from candela.gateway.results import Addresses
from candela.gateway.stac.catalogue import ResultCatalogue
from candela.gateway.stac.query import ItemQuery, PageEnd
from candela.jobs.listing import MOST_LISTED, TimeInterval
from candela.jobs.model import State
from candela.jobs.principal import SYSTEM
from candela.jobs.rows import LISTED_LENGTH

MAY = dt.datetime(2020, 5, 17, 10, 30, tzinfo=dt.UTC)
FIJI = (178.0, -19.0, -178.0, -17.0)
COLLECTION = "/stac/collections/SarChangeDetect"


@pytest.fixture
def store(idle_gateway):
    return idle_gateway.jobs.store


def ids(answer):
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/geo+json"
    assert answer.json["numberReturned"] == len(answer.json["features"])
    return [item["id"] for item in answer.json["features"]]


def search(http, **body):
    """Search by POST; the same by GET has to find the same."""
    found = ids(http.post("/stac/search", json=body))
    lists = {name: ",".join(map(str, value)) for name, value in body.items()
             if isinstance(value, list)}  # fmt: skip
    if "intersects" not in body:
        assert ids(http.get("/stac/search", query_string=body | lists)) == found
    return found


def links(document):
    return {link["rel"]: link for link in document["links"]}


def check_valid(document):
    """Check the core; the schemas of extensions are on the network alone."""
    validate_dict(document, extensions=[])


def test_an_item_says_where_when_and_how_to_get_it(idle, store):
    job = add_mapped_job(store, title="Po", outputs={"change": raster(time=MAY)})
    document = idle.get(f"{COLLECTION}/items/{job}.change").json
    check_valid(document)
    item = Item.from_dict(document)
    assert (item.id, item.collection_id) == (f"{job}.change", "SarChangeDetect")
    assert item.datetime == MAY
    assert item.bbox == [9.0, 45.08, 9.01, 45.09]
    assert item.geometry["coordinates"][0][2] == [9.01, 45.09]
    assert item.properties["title"] == "Po: Change probability"
    assert item.properties["created"] == "2026-01-01T00:01:00Z"
    assert item.properties["proj:code"] == "EPSG:32632"
    assert item.properties["proj:shape"] == [64, 80]
    assert item.properties["proj:transform"] == [10, 0, 5e5, 0, -10, 5e6]
    asset = item.assets["change"]
    assert asset.href == f"http://candela.test/outputs/{job}/change%20map.tif"
    assert (asset.media_type, asset.roles) == ("image/tiff; application=geotiff", ["data"])
    assert asset.extra_fields["bands"] == [{"name": "probability"}]
    assert (asset.extra_fields["data_type"], asset.extra_fields["nodata"]) == ("float32", "nan")
    assert asset.extra_fields["file:checksum"] == "1220" + 64 * "a"
    found = links(document)
    assert found["via"]["href"] == f"http://candela.test/jobs/{job}"
    assert found["wms"]["href"] == "https://maps.test/change/wms"
    assert found["wms"]["wms:layers"] == ["layer_change"]
    assert found["wcs"]["href"] == "https://maps.test/change/wcs"


def test_landing_page_and_collections_are_valid(idle):
    landing = idle.get("/stac").json
    check_valid(landing)
    assert landing["conformsTo"] == idle.get("/stac/conformance").json["conformsTo"]
    collections = idle.get("/stac/collections").json["collections"]
    named = [each["id"] for each in collections]
    assert {"ChangeDetect", "SarChangeDetect"} <= set(named)
    assert "Echo" not in named  # makes no raster that becomes a layer
    for collection in collections:
        check_valid(collection)
        assert idle.get(f"/stac/collections/{collection['id']}").json == collection
    children = [link["href"] for link in landing["links"] if link["rel"] == "child"]
    assert [href.rpartition("/")[2] for href in children] == named


def test_an_item_across_the_antimeridian_has_two_parts_and_is_found_on_both_sides(idle, store):
    job = add_mapped_job(store, outputs={"change": raster(FIJI)})
    document = idle.get(f"{COLLECTION}/items/{job}.change").json
    check_valid(document)
    assert document["bbox"] == [178, -19, -178, -17]
    west, east = document["geometry"]["coordinates"]
    assert west[0][:2] == [[178, -19], [180, -19]]
    assert east[0][:2] == [[-180, -19], [-178, -19]]
    for bbox in ([179, -20, 180, -18], [-180, -20, -179, -18], [170, -20, -170, -18]):
        assert search(idle, bbox=bbox) == [f"{job}.change"]
    assert search(idle, bbox=[-170, -20, 170, -18]) == []


def test_items_are_found_by_all_filters_together(idle, store):
    old = add_mapped_job(store, outputs={"change": raster(time=MAY)})
    new = add_mapped_job(store)  # of no time of its own: that of its job
    far = add_mapped_job(store, outputs={"change": raster((20, 50, 21, 51), MAY)})
    old, new, far = (f"{job}.change" for job in (old, new, far))
    assert search(idle) == [far, new, old]
    assert search(idle, bbox=[8, 45, 10, 46]) == [new, old]
    assert search(idle, bbox=[8, 45, -100, 10, 46, 9000]) == [new, old]
    assert search(idle, datetime="2020-05-17") == [far, old]
    assert search(idle, datetime="2026-01-01T00:00:00Z/..") == [new]
    assert search(idle, datetime="../2020-06-01", bbox=[8, 45, 10, 46]) == [old]
    assert search(idle, ids=[old, "no.such", new, f"{far}r"]) == [new, old]
    assert search(idle, ids=[old, far], bbox=[8, 45, 10, 46]) == [old]
    assert search(idle, collections=["SarChangeDetect", "ChangeDetect"]) == [far, new, old]
    assert search(idle, collections=["ChangeDetect"]) == []
    triangle = {"type": "Polygon", "coordinates": [[[19, 49], [20.5, 49], [19, 50.5], [19, 49]]]}
    assert search(idle, intersects=triangle) == []  # its box touches, itself does not
    triangle["coordinates"][0][1] = [23, 49]
    assert search(idle, intersects=triangle) == [far]
    assert ids(idle.get(f"{COLLECTION}/items?bbox=8,45,10,46")) == [new, old]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_follow_each_other_through_the_outputs_of_jobs(idle, store, method):
    both = {"change": raster(), "direction": raster()}
    jobs = [add_mapped_job(store, outputs=both) for _ in range(3)]
    expected = [f"{job}.{name}" for job in reversed(jobs) for name in both]
    for wanted in ({}, {"ids": expected}):
        body = {**wanted, "limit": 3}
        get = {"limit": 3} | ({"ids": ",".join(expected)} if wanted else {})
        answer = (
            idle.get("/stac/search", query_string=get)
            if method == "GET"
            else idle.post("/stac/search", json=body)
        )
        first, following = ids(answer), links(answer.json)["next"]
        later = add_mapped_job(store)  # while somebody reads
        path = following["href"].removeprefix("http://candela.test")
        answer = (
            idle.get(path) if method == "GET" else idle.post(path, json=following["body"])
        )  # fmt: skip
        assert [*first, *ids(answer)] == expected
        assert "next" not in links(answer.json)
        store.dismiss(later, name="", message="", cause="user")


def test_a_page_goes_on_after_a_job_that_is_removed_meanwhile(idle, store):
    jobs = [add_mapped_job(store, outputs={"a": raster(), "b": raster()}) for _ in range(2)]
    answer = idle.get("/stac/search?limit=1")
    assert ids(answer) == [f"{jobs[1]}.a"]
    store.dismiss(jobs[1], name="", message="", cause="user")
    path = links(answer.json)["next"]["href"].removeprefix("http://candela.test")
    assert ids(idle.get(path.replace("limit=1", "limit=9"))) == [f"{jobs[0]}.a", f"{jobs[0]}.b"]


def test_what_is_not_finished_dismissed_or_expired_is_not_there(idle, store):
    running = add_mapped_job(store, state=State.RUNNING)
    dismissed, expired = add_mapped_job(store), add_mapped_job(store, expires=MAY)
    store.dismiss(dismissed, name="", message="", cause="user")
    assert store.expire(expired, dt.datetime.now(dt.UTC))
    kept = add_mapped_job(store)
    assert search(idle) == [f"{kept}.change"]
    for job in (running, dismissed, expired):
        assert search(idle, ids=[f"{job}.change"]) == []
        assert idle.get(f"{COLLECTION}/items/{job}.change").status_code == 404


def test_a_result_too_large_for_lists_has_its_items(idle, store):
    job = add_mapped_job(store, text=LISTED_LENGTH * "x")
    assert search(idle) == [f"{job}.change"]


def test_a_page_reads_a_bounded_number_of_results(idle_gateway, store):
    old, new = (
        [f"{add_mapped_job(store, outputs={'change': raster(time=time)})}.change" for _ in range(2)]
        for time in (MAY, None)
    )
    catalogue = ResultCatalogue(idle_gateway.jobs, Addresses("http://candela.test"), most_jobs=3)
    in_may = ItemQuery(time=TimeInterval.parse("2020-05-17"))
    page = catalogue.page(SYSTEM, in_may)  # of three jobs the last one
    assert [item["id"] for item in page.items] == [old[1]]
    rest = catalogue.page(SYSTEM, replace(in_may, after=PageEnd.of_token(page.next_token)))
    assert [item["id"] for item in rest.items] == [old[0]]
    assert rest.next_token == ""
    few = replace(catalogue, most_jobs=2)
    with pytest.raises(InvalidValueError, match="no item among the newest 2 jobs"):
        few.page(SYSTEM, in_may)
    assert [item["id"] for item in few.page(SYSTEM, ItemQuery()).items] == new[::-1]


@pytest.mark.parametrize(
    ("body", "locator"),
    [
        ([], "body"),
        ({"sortby": []}, "sortby"),
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [8, 46, 10, 45]}, "bbox"),
        ({"bbox": [8, 45, 10, 460]}, "bbox"),
        ({"bbox": {"west": 8}}, "bbox"),
        ({"bbox": [[8, 45], [10, 46]]}, "bbox"),
        ({"datetime": "yesterday"}, "datetime"),
        ({"limit": 0}, "limit"),
        ({"token": "x"}, "token"),
        ({"ids": [str(number) for number in range(MOST_LISTED)]}, "ids"),
        ({"intersects": {"type": "Feature"}}, "intersects"),
        ({"intersects": {"type": "Point", "coordinates": "x"}}, "intersects"),
        ({"intersects": {"type": "Polygon", "coordinates": []}}, "intersects"),
        ({"intersects": {"type": "Point", "coordinates": [1, 2]}, "bbox": [1, 2, 3, 4]},
         "intersects"),
        ({"intersects": {"type": "Point", "coordinates": [1, 200]}}, "intersects"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_problem(idle, body, locator):
    answer = idle.post("/stac/search", json=body)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.json["locator"] == locator


def test_what_is_not_there_is_a_problem(idle, store):
    job = add_mapped_job(store)
    for path in ("/stac/collections/Echo", "/stac/collections/Echo/items",
                 f"/stac/collections/ChangeDetect/items/{job}.change",
                 f"{COLLECTION}/items/{job}.text", f"{COLLECTION}/items/x"):  # fmt: skip
        answer = idle.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json"), path


def test_pages_of_other_sites_may_search(idle):
    headers = {"Origin": "https://browser.example", "Sec-Fetch-Site": "cross-site"}
    answer = idle.post("/stac/search", json={}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
