import pickle
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from candela.errors import InputError
from candela.patches.store.annotate import LabelAssignment, annotate
from candela.patches.store.load import store_model
from candela.patches.store.tables import (
    ANNOTATION,
    FEATURE,
    FEATURE_SET,
    PATCH,
    PRODUCT,
    QUICKLOOK,
    SCHEMA,
    Outline,
    Vector,
)


def count(database, table, owner="ada"):
    with database.acting_for(owner) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_what_is_stored_is_what_comes_back(database, make_model):
    model = make_model()
    product = store_model(database, model, owner="ada")
    query = sa.select(PATCH.c.size, PATCH.c.grid_row, PATCH.c.grid_col, FEATURE.c.vector)
    joined = query.join(FEATURE, FEATURE.c.patch_id == PATCH.c.id).order_by(PATCH.c.id)
    with database.acting_for("ada") as connection:
        rows = connection.execute(joined.where(PATCH.c.product_id == product)).all()
    found = {row[:3]: row.vector for row in rows}
    for index, place in enumerate(
        zip(model.patches.size, model.patches.row, model.patches.col, strict=True)
    ):
        np.testing.assert_array_equal(found[place], model.features["texture"][index])
    assert len(found) == len(model.patches) == 20
    assert count(database, QUICKLOOK) == 4


def annotated(database):
    """Return the numbers of patches with a label."""
    with database.acting_for("ada") as connection:
        return connection.execute(sa.select(ANNOTATION.c.patch_id)).scalars().all()


def test_a_product_that_is_made_again_replaces_itself_and_keeps_annotations(database, make_model):
    store_model(database, make_model(), owner="ada")
    with database.acting_for("ada") as connection:
        before = connection.execute(sa.select(PATCH.c.id).order_by(PATCH.c.id)).scalars().all()
        annotate(connection, "ada", "corine", {before[0]: [LabelAssignment("311")]})
    again = make_model(seed=9)
    again.patches.usable[3] = 0.8
    product = store_model(database, again, owner="ada", visibility="public")
    with database.acting_for("ada") as connection:
        after = connection.execute(sa.select(PATCH.c.id).order_by(PATCH.c.id)).scalars().all()
        vectors = connection.execute(
            sa.select(FEATURE.c.vector).order_by(FEATURE.c.patch_id)
        ).scalars()
        np.testing.assert_array_equal(np.stack(list(vectors)), again.features["texture"])
        rows = connection.execute(sa.select(PRODUCT.c.id, PRODUCT.c.visibility)).all()
        shares = connection.execute(sa.select(PATCH.c.usable).order_by(PATCH.c.id)).scalars()
        np.testing.assert_allclose(list(shares), again.patches.usable)
    assert after == before
    assert rows == [(product, "public")]
    assert annotated(database) == [before[0]]
    assert count(database, QUICKLOOK) == 4


def test_patches_that_a_product_no_longer_has_go_with_all_that_hangs_on_them(database, make_model):
    store_model(database, make_model(), owner="ada")
    with database.acting_for("ada") as connection:
        small = sa.select(PATCH.c.id).where(PATCH.c.size == 60)
        annotate(
            connection, "ada", "corine",
            {number: [LabelAssignment("311")] for number in connection.execute(small).scalars()},
        )  # fmt: skip
    store_model(database, make_model(sizes=(120,)), owner="ada")
    assert count(database, PATCH) == count(database, FEATURE) == 4
    assert annotated(database) == []


def test_a_product_on_another_grid_has_other_patches(database, make_model):
    store_model(database, make_model(), owner="ada")
    with database.acting_for("ada") as connection:
        before = connection.execute(sa.select(PATCH.c.id)).scalars().all()
        annotate(connection, "ada", "corine", {before[0]: [LabelAssignment("311")]})
    store_model(database, make_model(left=700_000.0), owner="ada")
    assert annotated(database) == []
    assert count(database, PATCH) == 20


def test_products_of_the_same_name_belong_to_different_owners(database, make_model):
    store_model(database, make_model(), owner="ada")
    store_model(database, make_model(seed=2), owner="bob", visibility="public")
    with database.acting_for("bob") as connection:
        mine = connection.execute(sa.select(PRODUCT).where(PRODUCT.c.owner == "bob")).all()
    assert [row.name for row in mine] == ["pair"]
    with database.acting_for("ada") as connection:
        assert len(connection.execute(sa.select(PRODUCT)).all()) == 2


def test_vectors_that_cannot_be_compared_are_refused_and_nothing_changes(database, make_model):
    store_model(database, make_model(), owner="ada")
    other = make_model("other")
    record = other.feature_sets[0]._replace(parameters={"scales": 5})
    with pytest.raises(InputError, match="texture 1 with another parameters"):
        store_model(database, replace(other, feature_sets=[record]), owner="ada")
    assert count(database, PRODUCT) == 1
    assert count(database, PATCH) == 20
    record = record._replace(version=2)
    store_model(database, replace(other, feature_sets=[record]), owner="ada")
    assert count(database, FEATURE_SET) == 2


INTERRUPTED = """
import pickle
import sys

from candela.patches.store import load
from candela.patches.store.database import open_database

write = load._write
def hang(*arguments):
    if arguments[1].name == "quicklook":
        print("hanging", flush=True)
        sys.stdin.read()
    write(*arguments)
load._write = hang
model = pickle.loads(open(sys.argv[2], "rb").read())
load.store_model(open_database(sys.argv[1]), model, owner="ada")
"""


@pytest.mark.parametrize("before", [0, 1])
def test_a_worker_killed_in_the_middle_leaves_what_was_there(
    database, database_url, make_model, tmp_path, before
):
    """Killed after patches and vectors were sent, before the end of the transaction."""
    if before:
        store_model(database, make_model(), owner="ada")
    (tmp_path / "model").write_bytes(pickle.dumps(make_model(seed=5, sizes=(120,))))
    command = [sys.executable, "-c", INTERRUPTED, database_url, str(tmp_path / "model")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"hanging\n"
        worker.kill()
    assert count(database, PRODUCT) == before
    assert count(database, PATCH) == count(database, FEATURE) == 20 * before
    store_model(database, make_model(seed=5), owner="ada")  # nothing is locked
    assert count(database, FEATURE) == 20


def test_the_migrations_make_the_tables_that_the_code_knows(database):
    def is_ours(thing, name, kind, reflected, other):
        return kind != "table" or name in SCHEMA.tables

    def same_type(context, inspected, known, of_database, of_code):
        return False if isinstance(of_code, (Outline, Vector)) else None

    with database.acting_for("ada") as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # a type that only PostGIS knows
        options = {"compare_type": same_type, "include_object": is_ours}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, SCHEMA)
    assert [entry for entry in differences if "patch_by_outline" not in str(entry)] == []
