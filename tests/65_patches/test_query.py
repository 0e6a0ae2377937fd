import datetime as dt
import json

import numpy as np
import pytest
import shapely
import sqlalchemy as sa

from candela.errors import InputError, LimitError, NotFoundError, StorageError, UnavailableError
from candela.patches.query.export import to_csv, to_frame, to_geojson
from candela.patches.query.selection import (
    LabelFilter,
    PatchFilter,
    find_numbers,
    find_patches,
    patches_of,
)
from candela.patches.query.shelf import VectorShelf
from candela.patches.query.similarity import build_index, find_feature_set
from candela.patches.store.annotate import (
    LabelAssignment,
    Source,
    annotate,
    judge,
    share,
    start_session,
)
from candela.patches.store.load import store_model
from candela.patches.store.tables import PRODUCT

JUNE = dt.datetime(2020, 6, 4, 5, 46, tzinfo=dt.UTC)
AUGUST = dt.datetime(2020, 8, 13, 5, 46, tzinfo=dt.UTC)


@pytest.fixture
def filled(database, make_model):
    """Ada has a product of June and, further east, a public one of August; Bob one of June."""
    store_model(database, make_model("june", time=JUNE), owner="ada")
    august = make_model("august", time=AUGUST, left=600_000.0, seed=2)
    store_model(database, august, owner="ada", visibility="public")
    store_model(database, make_model("june", time=JUNE, seed=3), owner="bob")
    return database


def found(database, viewer="ada", **wanted):
    with database.acting_for(viewer) as connection:
        return find_patches(connection, viewer, PatchFilter(**wanted))


def test_patches_are_found_by_product_size_and_time(filled):
    assert {patch.product for patch in found(filled)} == {"june", "august"}
    assert len(found(filled, product="june")) == 20
    assert {patch.size for patch in found(filled, sizes=(60,))} == {60}
    assert {patch.product for patch in found(filled, since=AUGUST)} == {"august"}
    assert {patch.product for patch in found(filled, until=AUGUST)} == {"june"}
    assert len(found(filled, limit=3)) == 3


def test_patches_are_found_by_what_they_touch(filled):
    corner = found(filled, product="june", sizes=(60,))[0].outline
    inside = corner.centroid.buffer(1e-5)
    touched = found(filled, product="june", area=inside)
    assert sorted(patch.size for patch in touched) == [60, 120]
    assert all(patch.outline.intersects(inside) for patch in touched)
    assert found(filled, area=shapely.box(0, 0, 1, 1)) == []


def test_outlines_are_where_the_grid_says(filled):
    patch = next(p for p in found(filled, product="june", sizes=(120,)) if (p.row, p.col) == (0, 0))
    left, bottom, right, top = patch.outline.bounds
    assert 14.99 < left < 15.001  # the central meridian of zone 33
    assert right - left == pytest.approx(1200 / (111_195 * np.cos(np.radians(45.1))), rel=0.01)
    assert top - bottom == pytest.approx(1200 / 111_195, rel=0.01)
    assert patch.outline.exterior.is_ccw


def test_others_see_what_is_public_or_shared_and_nothing_else(filled):
    assert {(p.product, p.owner) for p in found(filled, "bob")} == {
        ("august", "ada"), ("june", "bob"),
    }  # fmt: skip
    with filled.acting_for("ada") as connection:
        share(connection, "ada", "june", ["bob"])
    assert ("june", "ada") in {(p.product, p.owner) for p in found(filled, "bob")}
    assert ("june", "ada") not in {(p.product, p.owner) for p in found(filled, "eve")}


@pytest.fixture
def labelled(filled):
    """The four large patches of june are two kinds of forest, a lake and arable land."""
    numbers = [patch.patch for patch in found(filled, product="june", sizes=(120,))]
    codes = ("311", "312", "512", "211")
    with filled.acting_for("ada") as connection:
        labels = {
            number: [LabelAssignment(code)] for number, code in zip(numbers, codes, strict=True)
        }
        annotate(connection, "ada", "corine", labels)
    return filled, dict(zip(codes, numbers, strict=True))


def numbers_with(database, viewer="ada", **label):
    with database.acting_for(viewer) as connection:
        return find_numbers(connection, viewer, PatchFilter(label=LabelFilter(**label)))


def test_a_label_is_found_with_its_subtree_or_alone(labelled):
    database, number = labelled
    assert numbers_with(database, scheme="corine", code="31") == [number["311"], number["312"]]
    assert numbers_with(database, scheme="corine", code="31", subtree=False) == []
    assert numbers_with(database, scheme="corine", code="512", subtree=False) == [number["512"]]


def test_a_label_is_found_by_what_it_is_in_another_scheme(labelled):
    database, number = labelled
    assert numbers_with(database, scheme="earth", code="F") == [number["311"], number["312"]]
    assert numbers_with(database, scheme="bigearthnet19", code="18") == [number["512"]]


def test_labels_of_others_are_seen_only_if_they_are_public(labelled):
    database, number = labelled
    with database.acting_for("ada") as connection:
        share(connection, "ada", "june", ["bob"])
        annotate(
            connection,
            "ada",
            "earth",
            {number["211"]: [LabelAssignment("A2")]},
            visibility="public",
        )
    assert numbers_with(database, "bob", scheme="corine", code="2") == []
    assert numbers_with(database, "bob", scheme="earth", code="A") == [number["211"]]


def test_new_labels_of_a_source_take_the_place_of_its_old_ones(labelled):
    database, number = labelled
    lake = number["512"]
    with database.acting_for("ada") as connection:
        annotate(
            connection, "ada", "corine", {lake: [LabelAssignment("523"), LabelAssignment("331")]}
        )
        model = Source("model", "s1")
        annotate(connection, "ada", "corine", {lake: [LabelAssignment("512", 0.8)]}, source=model)
    assert numbers_with(database, scheme="corine", code="512", origin="manual") == []
    assert numbers_with(database, scheme="corine", code="512", sensor="s1") == [lake]
    assert numbers_with(database, scheme="corine", code="331") == [lake]


def test_an_unknown_label_is_refused_with_those_there_are(labelled):
    database, number = labelled
    with pytest.raises(NotFoundError, match=r"no label '999' in scheme 'corine' \(labels: 1, 11"):
        numbers_with(database, scheme="corine", code="999")
    with pytest.raises(NotFoundError), database.acting_for("ada") as connection:
        annotate(connection, "ada", "corine", {number["211"]: [LabelAssignment("999")]})


def test_a_patch_of_somebody_else_cannot_be_labelled(labelled):
    database, number = labelled
    with (
        pytest.raises(NotFoundError, match="not yours to see"),
        database.acting_for("bob") as connection,
    ):
        annotate(connection, "bob", "corine", {number["211"]: [LabelAssignment("111")]})


def test_the_last_word_of_a_session_counts_and_belongs_to_its_owner(labelled):
    database, number = labelled
    with database.acting_for("ada") as connection:
        session = start_session(connection, "ada", "forests", "corine", "31")
        judge(connection, "ada", session, 1, {number["311"]: True, number["512"]: True})
        judge(connection, "ada", session, 2, {number["512"]: False})
    with pytest.raises(NotFoundError), database.acting_for("bob") as connection:
        judge(connection, "bob", session, 3, {})


def test_who_reads_cannot_write(filled):
    with (
        pytest.raises(StorageError, match=r"read-only|readonly"),
        filled.reading_for("ada", limit_s=10) as connection,
    ):
        connection.execute(sa.update(PRODUCT).values(visibility="public"))
    with filled.acting_for("ada") as connection:  # the same connection, to write
        assert connection.execute(sa.update(PRODUCT).values(visibility="public")).rowcount


def test_a_question_without_end_is_given_up(filled):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    with (
        pytest.raises(LimitError, match=r"longer than 0\.2 s"),
        filled.reading_for("ada", limit_s=0.2) as connection,
    ):
        connection.exec_driver_sql(endless)
    assert len(found(filled, product="june")) == 20


def test_what_is_read_in_parts_is_of_one_moment(filled, make_model):
    with filled.reading_for("ada", limit_s=10) as connection:
        before = find_patches(connection, "ada", PatchFilter())
        store_model(filled, make_model("later"), owner="ada")
        assert find_patches(connection, "ada", PatchFilter()) == before
    assert len(found(filled)) == len(before) + 20


def test_a_limit_that_makes_no_sense_is_refused(filled):
    with pytest.raises(InputError, match="limit of 0"):
        found(filled, limit=0)


def test_like_a_patch_are_those_with_the_nearest_vectors(filled, make_model, tmp_path):
    with filled.acting_for("ada") as connection:
        index = build_index(connection, "ada", "texture", tmp_path / "index")
        everything = find_patches(connection, "ada", PatchFilter())
    vectors = np.concatenate([make_model(seed=seed).features["texture"] for seed in (1, 2)])
    assert len(index) == len(everything) == len(vectors)
    by_product = {"june": 0, "august": 20}
    in_order = sorted(everything, key=lambda patch: (patch.product != "june", patch.patch))
    rows = {
        patch.patch: by_product[patch.product] + place % 20 for place, patch in enumerate(in_order)
    }
    asked = everything[3].patch
    nearest = index.like_patch(asked, 5)
    distances = {
        number: np.linalg.norm(vectors[row] - vectors[rows[asked]]) for number, row in rows.items()
    }
    expected = sorted((n for n in distances if n != asked), key=distances.get)[:5]
    assert [neighbour.patch for neighbour in nearest] == expected
    assert [neighbour.distance for neighbour in nearest] == pytest.approx(
        [distances[number] for number in expected], abs=1e-3
    )


def test_similarity_and_conditions_combine(filled, tmp_path):
    with filled.acting_for("ada") as connection:
        index = build_index(connection, "ada", "texture", tmp_path / "index")
        among = find_numbers(connection, "ada", PatchFilter(product="august", sizes=(120,)))
        nearest = index.like_patch(int(index.numbers[0]), 3, among=among)
        shown = patches_of(connection, "ada", [neighbour.patch for neighbour in nearest])
    assert [(patch.product, patch.size) for patch in shown] == [("august", 120)] * 3
    assert [patch.patch for patch in shown] == [neighbour.patch for neighbour in nearest]


def test_a_shelf_with_little_room_reads_again_and_tells_the_same(filled, tmp_path):
    with filled.reading_for("ada", limit_s=10) as connection:
        texture = find_feature_set(connection, "texture")
        roomy, narrow = (
            VectorShelf(tmp_path / "roomy"),
            VectorShelf(tmp_path / "n", most_bytes=2500),
        )
        asked = find_patches(connection, "ada", PatchFilter(limit=1))[0].patch
        answers = [
            shelf.like_patch(
                connection, "ada", asked, 9, PatchFilter(), feature_set=texture, limit_s=limit_s
            )
            for shelf, limit_s in ((roomy, 10), (narrow, 10), (narrow, 10), (roomy, 0))
        ]
        with pytest.raises(UnavailableError, match="0 of 2 products"):
            VectorShelf(tmp_path / "slow").like_patch(
                connection, "ada", asked, 9, PatchFilter(), feature_set=texture, limit_s=-1
            )
    assert all(answer == answers[0] for answer in answers)
    assert [len(list((tmp_path / name).iterdir())) for name in ("roomy", "n")] == [2, 1]


def test_an_index_has_nothing_that_its_reader_may_not_see(filled, tmp_path):
    with filled.acting_for("eve") as connection:
        index = build_index(connection, "eve", "texture", tmp_path / "index")
        seen = {patch.patch for patch in find_patches(connection, "eve", PatchFilter())}
    assert set(index.numbers.tolist()) == seen
    assert len(seen) == 20


def test_an_unknown_feature_set_or_patch_is_refused(filled, tmp_path):
    with filled.acting_for("ada") as connection:
        with pytest.raises(NotFoundError, match=r"'colour' \(feature sets: texture\)"):
            build_index(connection, "ada", "colour", tmp_path / "index")
        index = build_index(connection, "ada", "texture", tmp_path / "index")
    with pytest.raises(NotFoundError, match="patch 987654"):
        index.like_patch(987654)


def test_answers_go_out_as_geojson_csv_and_tables(filled):
    patches = found(filled, product="june", sizes=(120,))
    collection = json.loads(to_geojson(patches))
    assert [feature["id"] for feature in collection["features"]] == [p.patch for p in patches]
    assert collection["features"][0]["geometry"]["type"] == "Polygon"
    assert collection["features"][0]["properties"]["time"] == "2020-06-04T05:46:00+00:00"
    lines = to_csv(patches).splitlines()
    assert lines[0] == "patch,product,owner,time,size,row,col,usable"
    assert len(lines) == 5
    assert to_csv([]) == ""
    pytest.importorskip("pandas")
    assert list(to_frame(patches)["size"]) == [120] * 4


def test_text_that_a_spreadsheet_would_run_is_made_harmless():
    assert to_csv([{"name": "=1+1"}]).splitlines()[1] == "'=1+1"
