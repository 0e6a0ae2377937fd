import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import sqlalchemy as sa
from affine import Affine

from candela.errors import InputError, NotFoundError
from candela.patches.query.analytics import change_matrix, confusion, label_statistics
from candela.patches.query.confusion import Confusion
from candela.patches.query.selection import PatchFilter, find_patches
from candela.patches.query.semantic import fused_confusion
from candela.patches.store.annotate import MANUAL, REFERENCE, LabelAssignment, Source, annotate
from candela.patches.store.load import store_model
from candela.patches.store.reference import annotate_from_map
from candela.patches.store.tables import ANNOTATION, PATCH

JUNE = dt.datetime(2020, 6, 4, tzinfo=dt.UTC)
AUGUST = dt.datetime(2020, 8, 13, tzinfo=dt.UTC)
CODES = ("311", "312", "512", "211")


@pytest.fixture
def filled(database, make_model):
    """The large patches of june have four labels; in august the lake is arable land."""
    for name, time in (("june", JUNE), ("august", AUGUST)):
        store_model(database, make_model(name, time=time), owner="ada")
    label(database, "june", CODES)
    label(database, "august", ("311", "312", "211", "211"))
    return database


def label(database, product, codes, source=MANUAL, confidence=None):
    with database.acting_for("ada") as connection:
        patches = find_patches(connection, "ada", PatchFilter(product=product, sizes=(120,)))
        patches.sort(key=lambda patch: (patch.row, patch.col))
        labels = {
            patch.patch: [LabelAssignment(code, confidence)]
            for patch, code in zip(patches, codes, strict=True)
        }
        annotate(connection, "ada", "corine", labels, source=source)


def test_labels_are_counted_by_date_and_area(filled):
    with filled.acting_for("ada") as connection:
        counts = label_statistics(connection, "ada", "corine")
    found = [(row.product, row.code, row.patches) for row in counts]
    assert found == [
        ("june", "211", 1), ("june", "311", 1), ("june", "312", 1), ("june", "512", 1),
        ("august", "211", 2), ("august", "311", 1), ("august", "312", 1),
    ]  # fmt: skip
    assert counts[4].area_km2 == pytest.approx(2 * 1.44)
    assert counts[0].title == "Non-irrigated arable land"
    assert counts[0].time == JUNE


def test_labels_are_counted_in_another_scheme_and_part_of_the_time(filled):
    with filled.acting_for("ada") as connection:
        counts = label_statistics(connection, "ada", "bigearthnet19", PatchFilter(until=AUGUST))
    assert [(row.code, row.patches) for row in counts] == [("10", 1), ("18", 1), ("3", 1), ("9", 1)]


def test_the_change_matrix_tells_what_became_what(filled):
    with filled.acting_for("ada") as connection:
        matrix = change_matrix(connection, "ada", "corine", "june", "august", size=120)
    assert matrix.codes == ("211", "311", "312", "512")
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    np.testing.assert_array_equal(matrix.counts, expected)


def test_products_of_different_grids_are_not_compared(filled, make_model):
    store_model(filled, make_model("elsewhere", left=600_000.0), owner="ada")
    with filled.acting_for("ada") as connection:
        with pytest.raises(InputError, match="different grids: transform"):
            change_matrix(connection, "ada", "corine", "june", "elsewhere", size=120)
        with pytest.raises(NotFoundError, match="of nobody"):
            change_matrix(connection, "ada", "corine", "june", "never", size=120)


def test_sensors_alone_and_together_are_compared_with_the_truth(filled):
    label(filled, "june", ("311", "311", "512", "211"), Source("model", "s1"))
    label(filled, "june", ("311", "312", "512", "512"), Source("model", "s2"))
    label(filled, "june", CODES, Source("model", "fused"))
    accuracy = {}
    with filled.acting_for("ada") as connection:
        for sensor in ("s1", "s2", "fused"):
            matrix = confusion(connection, "ada", "corine", MANUAL, Source("model", sensor))
            accuracy[sensor] = matrix.accuracy
            if sensor == "s1":
                assert matrix.recall()["312"] == 0
                assert matrix.precision()["311"] == 0.5
    assert accuracy == {"s1": 0.75, "s2": 0.75, "fused": 1.0}


def test_labels_of_both_sensors_are_fused_by_the_product_of_their_confidences(filled):
    """Each sensor is unsure where the other one is not."""
    with filled.acting_for("ada") as connection:
        patches = find_patches(connection, "ada", PatchFilter(product="june", sizes=(120,)))
        patches.sort(key=lambda patch: (patch.row, patch.col))
        given = {
            "s1": [("312", 0.55, "311"), ("312", 0.6, "311"), ("512", 0.9, "211"), ("211", 1, "")],
            "s2": [("311", 0.9, "312"), ("312", 0.6, "311"), ("211", 0.6, "512"), ("211", 1, "")],
        }
        for sensor, of_patches in given.items():
            labels = {
                patch.patch: [
                    LabelAssignment(code, sure),
                    *([LabelAssignment(other, 1 - sure)] if other else []),
                ]
                for patch, (code, sure, other) in zip(patches, of_patches, strict=True)
            }
            annotate(connection, "ada", "corine", labels, source=Source("model", sensor))
        alone = [
            confusion(connection, "ada", "corine", MANUAL, Source("model", sensor)).accuracy
            for sensor in given
        ]
        fused = fused_confusion(connection, "ada", "corine", MANUAL, "product")
    assert alone == [0.75, 0.75]
    assert fused.accuracy == 1
    assert fused.counts.sum() == 4


def test_labels_of_both_sensors_are_fused_by_what_such_pairs_were(filled):
    """Small patches: radar says 512 and optics 211 wherever it is 523, which neither ever says."""
    with filled.acting_for("ada") as connection:
        patches = find_patches(connection, "ada", PatchFilter(product="june", sizes=(60,)))
        truth = ["523", "523", "211", "211"] * 4
        seen = {
            MANUAL: truth,
            Source("model", "s1"): ["512" if code == "523" else "211" for code in truth],
            Source("model", "s2"): ["211"] * 16,
        }
        for source, codes in seen.items():
            labels = {
                patch.patch: [LabelAssignment(code)]
                for patch, code in zip(patches, codes, strict=True)
            }
            annotate(connection, "ada", "corine", labels, source=source)
        wanted = PatchFilter(sizes=(60,))
        by_pairs = fused_confusion(connection, "ada", "corine", MANUAL, "pairs", wanted)
        by_product = fused_confusion(connection, "ada", "corine", MANUAL, "product", wanted)
        nothing = fused_confusion(
            connection, "ada", "corine", MANUAL, "pairs", PatchFilter(sizes=(9,))
        )
    assert (by_pairs.accuracy, by_pairs.counts.sum()) == (1, 16)
    assert by_product.accuracy == 0.5
    assert nothing.counts.sum() == 0


def test_of_several_labels_the_most_confident_is_compared(filled):
    with filled.acting_for("ada") as connection:
        patch = find_patches(connection, "ada", PatchFilter(product="june", sizes=(120,)))[0].patch
        given = [LabelAssignment("111", 0.3), LabelAssignment("311", 0.7)]
        annotate(connection, "ada", "corine", {patch: given}, source=Source("model", "s1"))
        matrix = confusion(connection, "ada", "corine", MANUAL, Source("model", "s1"))
    assert matrix.counts.sum() == 1
    assert matrix.accuracy == 1


def test_a_map_labels_patches_with_what_covers_most(filled, tmp_path):
    """The map has 25 m pixels, its own origin, and one class in each quarter of the image."""
    classes = np.zeros((200, 200), np.uint16)
    for index, code in enumerate(CODES):
        row, col = divmod(index, 2)
        classes[52 + 48 * row : 100 + 48 * row, 52 + 48 * col : 100 + 48 * col] = int(code)
    classes[52:56, 52:100] = 523  # a twelfth of the first patch
    path = tmp_path / "map.tif"
    transform = Affine(25, 0, 500_000 - 52 * 25, 0, -25, 5_000_000 + 52 * 25)
    with rasterio.open(
        path, "w", driver="GTiff", height=200, width=200, count=1, dtype="uint16",
        crs="EPSG:32633", transform=transform, nodata=0,
    ) as image:  # fmt: skip
        image.write(classes, 1)
    with filled.acting_for("ada") as connection:
        assert annotate_from_map(connection, "ada", "june", path, "corine") == 20
        matrix = confusion(
            connection,
            "ada",
            "corine",
            REFERENCE,
            MANUAL,
            PatchFilter(product="june", sizes=(120,)),
        )
        annotate_from_map(connection, "ada", "august", path, "corine")
        later = confusion(
            connection, "ada", "corine", REFERENCE, MANUAL, PatchFilter(product="august")
        )
    assert (matrix.accuracy, matrix.kappa) == (1, 1)
    assert later.accuracy == 0.75


def test_a_map_of_another_place_is_refused(filled, tmp_path):
    path = tmp_path / "map.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=9, width=9, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(25, 0, 0, 0, -25, 0), nodata=0,
    ) as image:  # fmt: skip
        image.write(np.full((9, 9), 111, np.uint8), 1)
    with (
        pytest.raises(NotFoundError, match="shows nothing"),
        filled.acting_for("ada") as connection,
    ):
        annotate_from_map(connection, "ada", "june", path, "corine")


def test_kappa_is_that_of_a_known_table():
    """Cohen's measure of the table 20, 5, 10, 15: 0.4."""
    matrix = Confusion.of([("a", "a", 20), ("a", "b", 5), ("b", "a", 10), ("b", "b", 15)])
    assert matrix.accuracy == pytest.approx(0.7)
    assert matrix.kappa == pytest.approx(0.4)
    assert matrix.rows()[0] == {"label": "a", "a": 20, "b": 5}


def test_nothing_to_compare_is_no_agreement():
    matrix = Confusion.of([])
    assert np.isnan(matrix.accuracy)
    assert np.isnan(matrix.kappa)


def test_the_corine_map_of_lanjaron_labels_patches(shared_data, database, make_model):
    """Patches of 1200 m are 48 pixels of the map: its classes can be counted directly."""
    path = shared_data("corine-lanjaron") / "clc.tif"
    with rasterio.open(path) as image:
        classes = image.read(1)
        corner = image.transform @ (101, 203)
        crs = image.crs
    model = make_model("lanjaron")
    place = Affine(10, 0, corner[0], 0, -10, corner[1])
    grid = model.patches.grid._replace(crs=crs, transform=place)
    model = replace(model, patches=replace(model.patches, grid=grid))
    store_model(database, model, owner="ada")
    with database.acting_for("ada") as connection:
        annotate_from_map(connection, "ada", "lanjaron", path, "corine", least_share=0)
        rows = connection.execute(
            sa.select(
                PATCH.c.grid_row, PATCH.c.grid_col, ANNOTATION.c.code, ANNOTATION.c.confidence
            )
            .join(ANNOTATION, ANNOTATION.c.patch_id == PATCH.c.id)
            .where(PATCH.c.size == 120)
        ).all()
        as_bigearthnet = label_statistics(
            connection, "ada", "bigearthnet19", PatchFilter(sizes=(120,)), source=REFERENCE
        )
    assert len(rows) == 4
    for row, col, code, confidence in rows:
        part = classes[203 + 48 * row : 251 + 48 * row, 101 + 48 * col : 149 + 48 * col]
        values, counts = np.unique(part, return_counts=True)
        assert code == str(values[counts.argmax()])
        # Pixels of 25 m are two or three of 10 m.
        assert confidence == pytest.approx(counts.max() / 48**2, abs=5e-3)
    assert sum(count.patches for count in as_bigearthnet) <= 4
