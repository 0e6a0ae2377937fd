"""The client's and the command's way to the patch database, through a real gateway."""

import csv
import datetime as dt
import io
import json
import re
from pathlib import Path

import pytest
import shapely
import sqlalchemy as sa

from candela.cli import main
from candela.client import Client, NotFoundError, RequestRefusedError
from candela.demo.gateway import LocalGateway
from candela.patches.query.selection import PatchFilter, find_numbers
from candela.patches.store.database import open_database
from candela.patches.store.load import store_model
from candela.patches.store.tables import ANNOTATION
from candela.patches.store.target import NOBODY

PAGE = Path(__file__).parents[2] / "docs" / "patches.md"
JUNE = dt.datetime(2020, 6, 4, tzinfo=dt.UTC)
AUGUST = dt.datetime(2020, 8, 13, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("patches")


@pytest.fixture(scope="module")
def gateway(place):
    url = f"sqlite:///{place / 'patches.db'}"
    with LocalGateway(place / "gateway", environment={"CANDELA_PATCHES_DATABASE": url}) as gateway:
        yield gateway


@pytest.fixture
def numbers(place, make_model):
    """Fill the database anew; give the numbers of the large patches of the first product."""
    database = open_database(f"sqlite:///{place / 'patches.db'}")
    with database.acting_for(NOBODY) as connection:
        connection.execute(sa.delete(ANNOTATION))
    for seed, (name, time) in enumerate((("june", JUNE), ("august", AUGUST)), 1):
        store_model(database, make_model(name, time=time, seed=seed), owner=NOBODY)
    with database.acting_for(NOBODY) as connection:
        found = find_numbers(connection, NOBODY, PatchFilter(product="june", sizes=(120,)))
    database.close()
    return found


@pytest.fixture
def patches(gateway, numbers):
    with Client(gateway.url) as client:
        yield client.patches


def test_patches_are_found_page_by_page_and_as_a_table(patches, monkeypatch):
    monkeypatch.setattr("candela.client.patches.PAGE_LIMIT", 7)
    everything = patches.find(product="june", limit=1000)
    assert len(set(everything.ids)) == len(everything) == 20
    assert patches.find(limit=9).ids == patches.find(limit=20).ids[:9]
    assert everything.__geo_interface__["type"] == "FeatureCollection"
    pytest.importorskip("pandas")
    table = patches.find(size=[120, 60], product="june").frame()
    assert sorted(set(table["size"])) == [60, 120]
    assert list(table["product"]) == ["june"] * 20


def test_a_place_may_be_a_sequence_or_whatever_has_a_geometry(patches):
    outline = shapely.from_geojson(json.dumps(patches.find(size=60, limit=1)[0]["geometry"]))
    inside = outline.centroid.buffer(1e-5)
    ways = ({"bbox": inside.bounds}, {"geometry": inside}, {"geometry": inside.wkt})
    found = [patches.find(**way).ids for way in ways]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4  # two sizes of two products


def test_the_patches_most_like_one_come_with_their_distance(patches, numbers):
    found = patches.like(numbers[0], features="texture", limit=5, product="june")
    distances = [each["properties"]["distance"] for each in found]
    assert distances == sorted(distances)
    assert len(found) == 5
    assert numbers[0] not in found.ids


def test_labels_are_given_counted_and_compared(patches, numbers):
    given = dict(zip(numbers, ("311", "312", "512", ["211"]), strict=True))
    assert patches.annotate("corine", given)["labels"] == 4
    assert patches.find(label="corine:31").ids == numbers[:2]
    assert [row["code"] for row in patches.statistics()] == ["211", "311", "312", "512"]
    sure = {numbers[0]: {"311": 0.9, "312": 0.1}, numbers[1]: {"311": 0.6, "312": 0.4}}
    patches.annotate("corine", sure, origin="model", sensor="s1")
    told = patches.confusion("manual", "model:s1")
    assert (told["accuracy"], told["counts"]) == (0.5, [[1, 0], [1, 0]])
    labels = patches.patch(numbers[0])["properties"]["labels"]
    assert [each["confidence"] for each in labels] == pytest.approx([None, 0.9, 0.1])
    changes = patches.changes("june", "august", size=120)
    assert changes["codes"] == []
    assert patches.quicklook(numbers[0]).startswith(b"\xff\xd8")


def test_what_is_refused_names_the_condition_to_blame(patches):
    with pytest.raises(RequestRefusedError, match="no parameter 'colour'") as caught:
        patches.find(colour="red")
    assert caught.value.locator == "colour"
    with pytest.raises(NotFoundError, match="no patch 987654"):
        patches.patch(987654)


def test_products_and_schemes_are_listed(patches):
    assert [each["properties"]["name"] for each in patches.products()] == ["june", "august"]
    assert "corine" in [row["scheme"] for row in patches.schemes()]
    assert patches.labels("earth")[0]["code"] == "A"


def test_the_example_of_the_page_runs(patches, numbers, gateway):
    """But for the name of the feature set."""
    pytest.importorskip("pandas")
    patches.annotate("corine", {numbers[0]: "311"})
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "Client(" in block)
    code = code.replace("http://127.0.0.1:8080", gateway.url)
    code = code.replace("found.ids[0], ", "found.ids[0], features='texture', ")
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    names["client"].close()
    assert names["found"].ids == [numbers[0]]
    labelled = {*names["found"].ids, *names["alike"].ids[:5]}
    assert set(patches.find(label="corine:311").ids) == labelled


def test_the_command_shows_tables_and_forms_for_programs(gateway, numbers, capsys):
    def run(*arguments):
        code = main(["patches", *arguments, "--url", gateway.url])
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run("label", "corine", f"{numbers[0]}=311", f"{numbers[1]}=512")
    assert (code, out) == (0, "2 patches, 2 labels\n")
    code, out, err = run("items", "product=june", "size=120", "limit=3")
    assert code == 0
    assert len(out.splitlines()) == 5  # heads, a line, three patches
    assert "There are more" in err
    code, out, _ = run("items", "label=corine:31", "--form", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["patch"]) for row in rows] == [numbers[0]]
    code, out, _ = run("items", f"like={numbers[0]}", "features=texture", "--form", "geojson")
    assert len(json.loads(out)["features"]) == 20
    code, out, _ = run("confusion", "truth=manual")
    assert "accuracy 1.000" in out
    code, _, err = run("items", "colour=red")
    assert (code, "colour" in err) == (2, True)
    assert run("items", "colour")[0] == 2
    assert run("label", "corine", "first=311")[0] == 2
    assert run("label", "corine", f"{numbers[0]}=", f"{numbers[1]}=")[1] == "2 patches, 0 labels\n"
