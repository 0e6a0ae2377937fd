import sqlalchemy as sa

from candela.patches.store.schemes import labels, mappings, schemes
from candela.patches.store.tables import LABEL, MAPPING

# Removed from BigEarthNet's classes by its authors.
NOT_IN_BIGEARTHNET = {
    "122",
    "123",
    "124",
    "131",
    "132",
    "133",
    "141",
    "142",
    "332",
    "334",
    "335",
    "423",
}


def leaves(scheme):
    given = labels(scheme)
    parents = {label.parent for label in given}
    return {label.code for label in given if label.code not in parents}


def test_corine_has_three_levels_of_5_15_and_44_classes():
    codes = [label.code for label in labels("corine")]
    assert [sum(len(code) == length for code in codes) for length in (1, 2, 3)] == [5, 15, 44]
    assert leaves("corine") == {code for code in codes if len(code) == 3}


def test_bigearthnet_has_19_classes_of_one_level():
    given = labels("bigearthnet19")
    assert len(given) == 19
    assert {label.parent for label in given} == {None}


def test_the_earth_scheme_has_two_levels():
    for label in labels("earth"):
        assert label.parent == (label.code[0] if len(label.code) == 2 else None)


def test_every_class_of_corine_is_one_of_the_earth_scheme():
    mapped = {code: to for scheme, code, other, to in mappings() if other == "earth"}
    assert set(mapped) == leaves("corine")
    assert set(mapped.values()) <= leaves("earth")


def test_the_classes_that_bigearthnet_left_out_have_none_there():
    mapped = [code for _, code, other, _ in mappings() if other == "bigearthnet19"]
    assert len(mapped) == len(set(mapped))
    assert set(mapped) == leaves("corine") - NOT_IN_BIGEARTHNET


def test_schemes_are_in_the_database_once_however_often_it_is_opened(database):
    database.upgrade()
    with database.acting_for("ada") as connection:
        count = {
            table: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (LABEL, MAPPING)
        }
    assert count[LABEL] == sum(len(labels(name)) for name in schemes())
    assert count[MAPPING] == len(list(mappings()))
