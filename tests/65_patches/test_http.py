"""The patch database over HTTP, on SQLite and on PostgreSQL with PostGIS."""

import csv
import datetime as dt
import io
import json
import re
import socket
from contextlib import ExitStack

import numpy as np
import pytest
import shapely
import sqlalchemy as sa
from gates import Gate
from pydantic import SecretStr

from candela.gateway.app import Gateway
from candela.gateway.search import patches as patches_api
from candela.patches.query.selection import PatchFilter, find_patches
from candela.patches.store.annotate import REFERENCE, LabelAssignment, Source, annotate
from candela.patches.store.database import open_database
from candela.patches.store.load import store_model
from candela.settings import Settings

BASE = "http://candela.test"
JUNE = dt.datetime(2020, 6, 4, 5, 46, tzinfo=dt.UTC)
AUGUST = dt.datetime(2020, 8, 13, 5, 46, tzinfo=dt.UTC)
CODES = ("311", "312", "512", "211")
NOT_STARTED = ["map server"]  # what these gateways lack: nobody starts them


@pytest.fixture
def filled(database, make_model):
    """Ada has a product of June and one of August in the same place; Bob a public one elsewhere."""
    store_model(database, make_model("june", time=JUNE), owner="ada")
    store_model(database, make_model("august", time=AUGUST, seed=2), owner="ada")
    elsewhere = make_model("east", time=AUGUST, left=600_000.0, seed=3)
    store_model(database, elsewhere, owner="bob", visibility="public")
    return database


@pytest.fixture
def http(filled, database_url, tmp_path):
    yield from client(database_url, tmp_path)


def client(url, folder, **options):
    settings = Settings(
        url=BASE,
        data=folder / "gateway",
        patches_database=SecretStr(url),
        owner_header="X-User",
        **options,
    )
    gateway = Gateway.assemble(settings)
    yield gateway.application().test_client()
    gateway.stop()


def ask(http, path, viewer="ada", **parameters):
    headers = {"X-User": viewer} if viewer else {}
    return http.get(f"/patches{path}", query_string=parameters, headers=headers)


def asked(http, path, viewer="ada", **parameters):
    answer = ask(http, path, viewer, **parameters)
    assert answer.status_code == 200, answer.text
    return answer.get_json(force=True)


def items(http, viewer="ada", **parameters):
    return asked(http, "/items", viewer, **parameters)["features"]


def products_of(features):
    return {feature["properties"]["product"] for feature in features}


def large(database, product, viewer="ada"):
    """Return the numbers of the large patches of a product, row by row."""
    with database.acting_for(viewer) as connection:
        found = find_patches(connection, viewer, PatchFilter(product=product, sizes=(120,)))
    return [each.patch for each in sorted(found, key=lambda patch: (patch.row, patch.col))]


def label(database, product, codes, source, owner="ada"):
    numbers = large(database, product)
    labels = {number: [LabelAssignment(code)] for number, code in zip(numbers, codes, strict=True)}
    with database.acting_for(owner) as connection:
        annotate(connection, owner, "corine", labels, source=source)


def post(http, document, viewer="ada", **options):
    return http.post("/patches/annotations", json=document, headers={"X-User": viewer}, **options)


def test_patches_are_found_by_all_that_can_be_asked(http):
    assert products_of(items(http, limit=1000)) == {"june", "august", "east"}
    assert len(items(http, product="june", limit=1000)) == 20
    assert {each["properties"]["size"] for each in items(http, size="60")} == {60}
    assert products_of(items(http, datetime="2020-06-04")) == {"june"}
    assert products_of(items(http, datetime="2020-06-05/..")) == {"august", "east"}
    assert products_of(items(http, owner="bob")) == {"east"}
    assert items(http, usable=1) != []


def test_patches_are_found_by_a_box_or_a_geometry(http):
    place = items(http, product="june", size="60", limit=1)[0]["geometry"]
    middle = shapely.from_geojson(json.dumps(place)).centroid
    wanted = {"product": "june", "size": "120,60"}
    box = ",".join(map(str, middle.buffer(1e-5).bounds))
    for where in (
        {"bbox": box},
        {"geometry": middle.wkt},
        {"geometry": json.dumps({"type": "Point", "coordinates": [middle.x, middle.y]})},
    ):
        found = items(http, **wanted, **where)
        assert sorted(each["properties"]["size"] for each in found) == [60, 120]
    assert items(http, bbox="0,0,1,1") == []
    assert items(http, bbox="170,-10,-170,10") == []


def test_answers_are_geojson_or_csv_as_is_asked_or_accepted(http):
    answer = ask(http, "/items", product="june", size=120)
    assert answer.mimetype == "application/geo+json"
    document = answer.get_json(force=True)
    assert (document["type"], document["numberReturned"]) == ("FeatureCollection", 4)
    headers = {"X-User": "ada", "Accept": "text/csv"}
    by_header = http.get("/patches/items?product=june&size=120", headers=headers)
    by_name = ask(http, "/items", product="june", size=120, f="csv")
    assert by_header.mimetype == by_name.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(by_name.text)))
    assert [int(row["patch"]) for row in rows] == [each["id"] for each in document["features"]]
    assert rows[0]["product"] == "june"


def test_pages_lead_through_all_patches_once(http):
    path, seen = "/items?product=june&limit=7", []
    while path:
        answer = http.get(f"/patches{path}", headers={"X-User": "ada"})
        document = answer.get_json(force=True)
        seen += [feature["id"] for feature in document["features"]]
        links = {link["rel"]: link["href"] for link in document["links"]}
        assert links["self"] == f"{BASE}/patches{path}"
        assert ('rel="next"' in answer.headers["Link"]) == ("next" in links)
        path = links.get("next", "").removeprefix(f"{BASE}/patches")
    assert len(seen) == len(set(seen)) == 20


def test_each_user_sees_what_is_theirs_shared_or_public(http, filled):
    assert products_of(items(http, "bob", limit=1000)) == {"east"}
    assert products_of(items(http, "", limit=1000)) == {"east"}
    hers = large(filled, "june")[0]
    for path in (f"/items/{hers}", f"/items/{hers}/quicklook"):
        assert ask(http, path, "ada").status_code == 200
        assert ask(http, path, "bob").status_code == 404
    refused = ask(http, "/items", "bob", like=hers, features="texture")
    assert (refused.status_code, refused.json["locator"]) == (400, "like")
    found = asked(http, "/products", "bob")["features"]
    assert [each["properties"]["name"] for each in found] == ["east"]


def test_a_name_that_the_proxy_did_not_send_is_nobody(http):
    answer = http.get("/patches/items?limit=1000", headers={"X-Other": "ada"})
    assert products_of(answer.get_json(force=True)["features"]) == {"east"}


def test_products_tell_their_images_sizes_and_place(http):
    found = asked(http, "/products", product="june")["features"]
    (product,) = found
    assert product["properties"] | {"updated": ""} == {
        "name": "june", "owner": "ada", "visibility": "private", "s1": "S1", "s2": "S2",
        "s1_time": JUNE.isoformat(), "time": JUNE.isoformat(), "updated": "",
        "crs": "EPSG:32633", "rows": 240, "cols": 240, "sizes": [120, 60],
    }  # fmt: skip
    outline = shapely.from_geojson(json.dumps(product["geometry"]))
    patches = [
        shapely.from_geojson(json.dumps(each["geometry"]))
        for each in items(http, product="june", size=120)
    ]
    assert outline.hausdorff_distance(shapely.union_all(patches)) < 1e-5
    following = asked(http, "/products", limit=1)["links"][1]["href"].removeprefix(BASE)
    answer = http.get(following, headers={"X-User": "ada"}).get_json(force=True)
    assert [each["properties"]["name"] for each in answer["features"]] == ["august"]


def test_a_patch_tells_its_labels_and_shows_its_picture(http, filled):
    label(filled, "june", CODES, REFERENCE)
    number = large(filled, "june")[0]
    patch = asked(http, f"/items/{number}")
    assert patch["properties"]["featureSets"] == ["texture"]
    (given,) = patch["properties"]["labels"]
    assert (given["code"], given["title"]) == ("311", "Broad-leaved forest")
    assert (given["origin"], given["owner"]) == ("reference", "ada")
    picture = ask(http, f"/items/{number}/quicklook")
    assert (picture.mimetype, picture.data) == ("image/jpeg", b"\xff\xd8 picture")


def test_like_a_patch_are_those_with_the_nearest_vectors_that_the_user_may_see(
    http, filled, make_model
):
    """Ada compares three products, Bob the one that he may see."""
    mine = {
        product: {
            patch.patch: index
            for index, patch in enumerate(
                sorted(patches(filled, product), key=lambda p: (-p.size, p.row, p.col))
            )
        }
        for product in ("june", "august", "east")
    }
    vectors = {
        number: make_model(seed=seed).features["texture"][index]
        for seed, product in ((1, "june"), (2, "august"), (3, "east"))
        for number, index in mine[product].items()
    }
    asked_for = next(iter(mine["east"]))
    distance = {
        number: float(np.linalg.norm(vector - vectors[asked_for]))
        for number, vector in vectors.items()
        if number != asked_for
    }
    nearest = sorted(distance, key=distance.get)
    for _ in range(2):  # read from the database, and from the shelf
        found = items(http, like=asked_for, features="texture", limit=10, relatives="true")
        assert [each["id"] for each in found] == nearest[:10]
        assert [each["properties"]["distance"] for each in found] == pytest.approx(
            [distance[each["id"]] for each in found], abs=1e-3
        )
    his = [
        each["id"]
        for each in items(http, "bob", like=asked_for, features="texture", relatives="true")
    ]
    assert his == [number for number in nearest if number in mine["east"]]


def test_the_parents_and_children_of_a_patch_are_not_like_it_unless_asked_for(http, filled):
    everything = patches(filled, "june")
    large = next(each for each in everything if each.size == 120 and each.row and each.col)
    inside = {
        each.patch
        for each in everything
        if each.size == 60 and (each.row // 2, each.col // 2) == (large.row, large.col)
    }
    assert len(inside) == 4
    like = {"features": "texture", "limit": 100, "product": "june"}
    for number, family in ((large.patch, inside), (min(inside), {large.patch})):
        found = {each["id"] for each in items(http, like=number, **like)}
        all_of_them = {each["id"] for each in items(http, like=number, relatives="true", **like)}
        assert all_of_them - found == family
    assert ask(http, "/items", relatives="true").status_code == 400
    assert ask(http, "/items", like=large.patch, relatives="some").status_code == 400


def patches(database, product):
    with database.acting_for("ada") as connection:
        return find_patches(connection, "ada", PatchFilter(product=product))


def test_similarity_goes_with_all_other_conditions_and_with_pages(http, filled):
    label(filled, "june", CODES, REFERENCE)
    number = large(filled, "august")[0]
    like = {"like": number, "features": "texture"}
    forests = items(http, **like, label="corine:31")
    assert {each["id"] for each in forests} == set(large(filled, "june")[:2])
    found = items(http, **like, size=120, product="june")
    assert {each["id"] for each in found} == set(large(filled, "june"))
    assert products_of(items(http, **like, datetime="2020-08-01/..", owner="bob")) == {"east"}
    box = ",".join(map(str, shapely.from_geojson(json.dumps(found[0]["geometry"])).bounds))
    assert found[0]["id"] in {each["id"] for each in items(http, **like, bbox=box)}
    everything = [each["id"] for each in items(http, **like, limit=100)]
    first = asked(http, "/items", **like, limit=25)
    second = http.get(first["links"][1]["href"].removeprefix(BASE), headers={"X-User": "ada"})
    pages = [*first["features"], *second.get_json(force=True)["features"]]
    assert [each["id"] for each in pages] == everything[:50]


def test_a_product_that_was_made_again_is_compared_anew(http, filled, make_model):
    number = large(filled, "june")[0]
    before = items(http, like=number, features="texture", limit=59)
    store_model(filled, make_model("august", time=AUGUST, seed=1), owner="ada")
    after = items(http, like=number, features="texture", limit=59)
    assert after[0]["id"] == large(filled, "august")[0]
    assert after[0]["properties"]["distance"] == pytest.approx(0, abs=1e-3)
    assert before[0]["properties"]["distance"] > 0.1


def test_labels_are_given_found_counted_and_taken_away(http, filled):
    numbers = large(filled, "june")
    labels = {str(number): code for number, code in zip(numbers, CODES, strict=True)}
    answer = post(http, {"scheme": "corine", "labels": labels})
    assert answer.json == {"owner": "ada", "patches": 4, "labels": 4}
    assert {each["id"] for each in items(http, label="corine:31")} == set(numbers[:2])
    assert items(http, label="corine:31", subtree="false") == []
    assert [each["id"] for each in items(http, label="bigearthnet19:18")] == [numbers[2]]
    counts = asked(http, "/statistics", scheme="corine")["statistics"]
    assert [(row["code"], row["patches"]) for row in counts] == [(c, 1) for c in sorted(CODES)]
    assert counts[0]["area_km2"] == pytest.approx(1.44)
    table = ask(http, "/statistics", f="csv", product="june").text.splitlines()
    assert table[0] == "product,time,size,code,title,patches,area_km2"
    assert len(table) == 5
    assert post(http, {"scheme": "corine", "labels": {str(numbers[0]): []}}).status_code == 200
    assert {each["id"] for each in items(http, label="corine:31")} == {numbers[1]}


def test_labels_of_others_are_private_unless_they_are_public(http, filled):
    number = large(filled, "east")[0]
    given = {"scheme": "corine", "labels": {str(number): ["211"]}}
    assert post(http, given).status_code == 200
    assert items(http, "bob", label="corine:211") == []
    assert post(http, given | {"visibility": "public"}).status_code == 200
    assert [each["id"] for each in items(http, "bob", label="corine:211")] == [number]
    assert post(http, given, "bob").status_code == 200  # his own, beside hers
    owners = [each["owner"] for each in asked(http, f"/items/{number}")["properties"]["labels"]]
    assert owners == ["ada"]


def test_a_patch_of_somebody_else_cannot_be_labelled(http, filled):
    number = large(filled, "june")[0]
    refused = post(http, {"scheme": "corine", "labels": {str(number): ["211"]}}, "bob")
    assert (refused.status_code, refused.json["locator"]) == (400, "labels")
    assert "not yours to see" in refused.json["detail"]


NO_LABELS = [
    ([], "body"),
    ({"labels": {}}, "scheme"),
    ({"scheme": "corine"}, "labels"),
    ({"scheme": "corine", "labels": []}, "labels"),
    ({"scheme": "corine", "labels": {"x": ["211"]}}, "labels"),
    ({"scheme": "corine", "labels": {"9" * 30: ["211"]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": ["999"]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": [7]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": ["211", "211"]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": [{"code": "211", "confidence": 2}]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": [{"code": "211", "confidence": True}]}}, "labels"),
    ({"scheme": "corine", "labels": {"1": [{"code": "211", "owner": "x"}]}}, "owner"),
    ({"scheme": "corine", "labels": {}, "owner": "bob"}, "owner"),
    ({"scheme": "corine", "labels": {}, "origin": "hearsay"}, "origin"),
    ({"scheme": "corine", "labels": {}, "sensor": "s1"}, "sensor"),
    ({"scheme": "corine", "labels": {}, "visibility": "all"}, "visibility"),
    ({"scheme": "cor\0ine", "labels": {}}, "scheme"),
]


def test_labels_that_make_no_sense_are_refused_with_what_is_to_blame(http):
    for document, locator in NO_LABELS:
        refused = post(http, document)
        assert (refused.status_code, refused.json["locator"]) == (400, locator), document


def test_a_form_of_another_site_cannot_give_labels(http):
    answer = http.post("/patches/annotations", data="{}", content_type="text/plain")
    assert (answer.status_code, answer.json["locator"]) == (400, "body")


def test_a_body_that_is_too_large_is_refused(http):
    answer = post(http, {"scheme": "corine", "labels": {"1": ["x" * 5_000_000]}})
    assert answer.status_code == 413


def test_what_became_what_is_told_as_a_matrix(http, filled):
    label(filled, "june", CODES, Source())
    label(filled, "august", ("311", "312", "211", "211"), Source())
    told = asked(http, "/changes", before="june", after="august", owner="ada")
    assert told["codes"] == ["211", "311", "312", "512"]
    assert told["counts"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    lines = ask(http, "/changes", before="june", after="august", f="csv").text.splitlines()
    assert lines[-1] == "512,1,0,0,0"
    for after, status in (("never", 400), ("east", 400), ("", 400)):
        assert ask(http, "/changes", before="june", after=after).status_code == status


def test_models_of_sensors_and_their_fusion_are_compared_with_the_truth(http, filled):
    label(filled, "june", CODES, REFERENCE)
    numbers = large(filled, "june")
    posteriors = {
        "s1": [{"312": 0.55, "311": 0.45}, {"312": 0.6, "311": 0.4}, {"512": 1}, {"211": 1}],
        "s2": [{"311": 0.9, "312": 0.1}, {"312": 0.6, "311": 0.4}, {"211": 0.6}, {"211": 1}],
        "fused": [{code: 1} for code in CODES],
    }
    for sensor, of_patches in posteriors.items():
        labels = {
            number: [{"code": code, "confidence": sure} for code, sure in given.items()]
            for number, given in zip(numbers, of_patches, strict=True)
        }
        document = {"scheme": "corine", "labels": labels, "origin": "model", "sensor": sensor}
        assert post(http, document).status_code == 200
    accuracy = {
        compared: asked(http, "/confusion", truth="reference", compared=compared)["accuracy"]
        for compared in ("model:s1", "model:s2", "model:fused", "product", "pairs", "manual")
    }
    assert (accuracy["model:s1"], accuracy["model:s2"]) == (0.75, 0.75)
    assert (accuracy["model:fused"], accuracy["product"]) == (1, 1)
    assert accuracy["manual"] is None  # nobody has said anything
    told = asked(http, "/confusion", compared="model:s1")
    assert told["recall"]["311"] == 0
    assert told["precision"]["312"] == 0.5
    assert told["kappa"] == pytest.approx(2 / 3)


def test_schemes_and_feature_sets_are_listed(http):
    names = [each["scheme"] for each in asked(http, "/schemes")["schemes"]]
    assert names == ["bigearthnet19", "corine", "earth"]
    labels = asked(http, "/schemes/corine")["labels"]
    assert {"scheme": "corine", "code": "51", "parent": "5", "title": "Inland waters"} in labels
    assert ask(http, "/schemes/never").status_code == 404
    (texture,) = asked(http, "/feature-sets")["featureSets"]
    assert (texture["name"], texture["dimension"]) == ("texture", 8)
    assert "items" in [link.get("title") for link in asked(http, "")["links"]]


NO_QUESTIONS = [
    ("/items", {"colour": "red"}, "colour"),
    ("/items", {"limit": "0"}, "limit"),
    ("/items", {"limit": "10001"}, "limit"),
    ("/items", {"limit": "²"}, "limit"),
    ("/items", {"after": "-1"}, "after"),
    ("/items", {"size": "120,big"}, "size"),
    ("/items", {"usable": "nan"}, "usable"),
    ("/items", {"usable": "2"}, "usable"),
    ("/items", {"datetime": "yesterday"}, "datetime"),
    ("/items", {"datetime": "2020-06-04/2020-06-01"}, "datetime"),
    ("/items", {"datetime": "9999-12-31"}, "datetime"),
    ("/items", {"datetime": "0001-01-01T00:00:00+12:00"}, "datetime"),
    ("/items", {"bbox": "1,2,3"}, "bbox"),
    ("/items", {"bbox": "1,2,3,nan"}, "bbox"),
    ("/items", {"bbox": "500000,4000000,600000,5000000"}, "bbox"),
    ("/items", {"bbox": "0,0,1,1", "geometry": "POINT (0 0)"}, "bbox"),
    ("/items", {"geometry": "POLYGON ((0 0"}, "geometry"),
    ("/items", {"geometry": "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"}, "geometry"),
    ("/items", {"geometry": "GEOMETRYCOLLECTION (POINT (0 0))"}, "geometry"),
    ("/items", {"geometry": "POINT (500000 5000000)"}, "geometry"),
    ("/items", {"geometry": '{"type": "Point", "coordinates": ["x"]}'}, "geometry"),
    ("/items", {"label": "corine"}, "label"),
    ("/items", {"label": "corine:999"}, "label"),
    ("/items", {"subtree": "false"}, "subtree"),
    ("/items", {"label": "corine:31", "subtree": "perhaps"}, "subtree"),
    ("/items", {"like": "first"}, "like"),
    ("/items", {"like": "1", "features": "never"}, "features"),
    ("/items", {"like": "987654", "features": "texture"}, "like"),
    ("/items", {"like": "9223372036854775807", "features": "texture"}, "like"),
    ("/items", {"like": "1", "after": "1"}, "after"),
    ("/items", {"features": "texture"}, "features"),
    ("/items", {"product": "x" * 501}, "product"),
    ("/items", {"product": "x\0"}, "product"),
    ("/items", {"f": "parquet"}, "f"),
    ("/statistics", {"scheme": "never"}, "scheme"),
    ("/statistics", {"source": "model:s3"}, "source"),
    ("/confusion", {"compared": "hearsay"}, "compared"),
    ("/changes", {"after": "june"}, "before"),
    ("/changes", {"before": "june", "after": "august", "size": "0"}, "size"),
]


def test_what_makes_no_sense_is_refused_with_the_parameter_to_blame(http):
    for path, parameters, locator in NO_QUESTIONS:
        refused = ask(http, path, **parameters)
        assert refused.status_code == 400, (parameters, refused.text)
        assert refused.json["locator"] == locator
        assert refused.json["detail"]
    twice = http.get("/patches/items?size=60&size=120", headers={"X-User": "ada"})
    assert (twice.status_code, twice.json["locator"]) == (400, "size")


@pytest.mark.parametrize(
    "text",
    [
        "x' OR '1'='1",
        "june'; DROP TABLE product; --",
        "x') OR 1=1 --",
        "ada', true); SELECT set_config('candela.owner', 'ada",
        "%s%(owner)s:owner",
        "\\'; SELECT pg_sleep(1) --",
    ],
)
def test_text_of_a_request_is_never_taken_for_sql(http, text):
    for name in ("product", "owner"):
        assert items(http, "bob", **{name: text}) == []
    for name in ("label", "datetime", "size", "bbox", "geometry", "like", "scheme"):
        path = "/statistics" if name == "scheme" else "/items"
        assert ask(http, path, "bob", **{name: text}).status_code == 400
    assert ask(http, "/items", "bob", label=f"corine:{text}").status_code == 400
    assert ask(http, "/items", "bob", like=1, features=text).status_code == 400
    assert ask(http, "/changes", "bob", before=text, after=text).status_code == 400
    assert ask(http, f"/schemes/{text.replace('/', '')}", "bob").status_code == 404
    assert products_of(items(http, text, limit=1000)) == {"east"}
    for document in (
        {"scheme": text, "labels": {"1": ["211"]}},
        {"scheme": "corine", "labels": {"1": [text]}},
        {"scheme": "corine", "labels": {text: ["211"]}},
    ):
        assert post(http, document, "bob").status_code == 400
    assert products_of(items(http, limit=1000)) == {"june", "august", "east"}


def test_vectors_go_with_the_gateway_that_kept_them_and_those_of_a_killed_one_too(
    filled, database_url, tmp_path
):
    """No process has a number above 2^22."""
    killed = tmp_path / "gateway" / "vectors" / f"{socket.gethostname()}-4194305"
    killed.mkdir(parents=True)
    for http in client(database_url, tmp_path):
        assert items(http, like=large(filled, "june")[0], features="texture")
        (own,) = killed.parent.iterdir()
        assert own != killed
        assert len(list(own.iterdir())) == 3  # products
    assert list(killed.parent.iterdir()) == []


def test_without_a_database_each_route_says_so(tmp_path):
    for http in client("", tmp_path):
        for path in ("", "/items", "/products", "/statistics", "/feature-sets", "/items/1"):
            answer = http.get(f"/patches{path}")
            assert answer.status_code == 404
            assert answer.json["detail"] == "this gateway has no database of patch models"
        assert http.get("/readyz").json["away"] == NOT_STARTED


def test_a_database_that_is_away_is_told_by_503_and_found_again(filled, postgis_url, tmp_path):
    server = sa.make_url(postgis_url)
    gate = Gate(server.port)
    through = server.set(port=gate.port).render_as_string(hide_password=False)
    gate.shut()
    for http in client(through, tmp_path):
        for _ in range(2):
            answer = ask(http, "/items")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
            assert answer.json["detail"].startswith("the patch database does not answer")
            assert not re.search(r"secret|127\.0\.0\.1|candela_service", answer.text)
            assert http.get("/readyz").json["away"] == NOT_STARTED  # jobs go on without it
            gate.open()
            assert ask(http, "/items").status_code == 200
            gate.cut()
            assert ask(http, "/items").status_code == 200
            gate.shut()
        gate.open()


@pytest.fixture
def filled_postgis(postgis_url, make_model):
    opened = open_database(postgis_url)
    store_model(opened, make_model("june", time=JUNE), owner="ada")
    yield postgis_url
    opened.close()


def test_a_question_that_takes_too_long_is_given_up(filled_postgis, postgis_admin, tmp_path):
    """Somebody has locked a table."""
    admin = sa.make_url(postgis_admin).set(database=sa.make_url(filled_postgis).database)
    engine = sa.create_engine(admin, poolclass=sa.NullPool)
    for http in client(filled_postgis, tmp_path, patches_limit_s=0.5):
        number = items(http, limit=1)[0]["id"]
        with engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE annotation IN ACCESS EXCLUSIVE MODE")
            for answer in (
                ask(http, "/items", label="corine:31"),
                ask(http, "/statistics"),
                post(http, {"scheme": "corine", "labels": {str(number): ["211"]}}),
            ):
                assert answer.status_code == 400
                assert "takes longer than 0.5 s" in answer.json["detail"]
            assert ask(http, "/items").status_code == 200
        assert ask(http, "/statistics").status_code == 200


def test_questions_leave_room_for_all_else_a_gateway_does(http, filled, monkeypatch):
    """All places are taken."""
    monkeypatch.setattr(patches_api, "PATIENCE_S", 0.1)
    api = http.application.extensions["patches"]
    with ExitStack() as stack:
        for _ in range(patches_api.PLACES):
            stack.enter_context(api.place())
        answer = ask(http, "/items")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert ask(http, "/items").status_code == 200
