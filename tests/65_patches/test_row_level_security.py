"""What PostgreSQL itself refuses, whatever a query says."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from candela.errors import StorageError
from candela.patches.query.selection import PatchFilter, find_numbers, find_patches
from candela.patches.store.annotate import LabelAssignment, annotate, share
from candela.patches.store.database import open_database
from candela.patches.store.load import store_model
from candela.patches.store.tables import ANNOTATION, FEATURE, PATCH, PRODUCT

TABLES = ("product", "grid", "patch", "quicklook", "feature", "annotation", "session")


@pytest.fixture
def database(postgis_url, make_model):
    """Ada and Bob have one private product each; Ada has labelled hers."""
    opened = open_database(postgis_url)
    for owner in ("ada", "bob"):
        store_model(opened, make_model(f"of {owner}"), owner=owner)
    with opened.acting_for("ada") as connection:
        number = connection.execute(sa.select(PATCH.c.id)).scalars().first()
        annotate(connection, "ada", "corine", {number: [LabelAssignment("311")]})
    yield opened
    opened.close()


def names(database, viewer):
    with database.acting_for(viewer) as connection:
        return connection.execute(sa.select(PRODUCT.c.name)).scalars().all()


@pytest.mark.parametrize("table", TABLES[:6])
def test_a_plain_query_shows_each_user_their_own_rows_only(database, table):
    counts = {}
    for viewer in ("ada", "bob", "eve", ""):
        with database.acting_for(viewer) as connection:
            counts[viewer] = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
    assert counts["ada"] > 0
    assert counts["eve"] == counts[""] == 0
    assert counts["bob"] == (0 if table == "annotation" else counts["ada"])


def test_without_a_user_there_is_nothing_to_see(database, postgis_url):
    engine = sa.create_engine(postgis_url)
    with engine.connect() as connection:
        assert connection.execute(sa.select(PRODUCT)).all() == []
    engine.dispose()


def test_rows_of_others_cannot_be_changed_removed_or_taken(database):
    with database.acting_for("bob") as connection:
        changed = connection.execute(sa.update(PRODUCT).values(visibility="public"))
        assert changed.rowcount == 1  # his own
        assert connection.execute(sa.delete(PATCH)).rowcount == 20
        connection.rollback()
    refused = pytest.raises(StorageError, match="row-level security")
    with refused, database.acting_for("bob") as connection:
        connection.execute(sa.update(PRODUCT).values(owner="ada"))
    assert names(database, "ada") == ["of ada"]


def test_nothing_can_be_put_into_a_product_of_somebody_else(database):
    with database.acting_for("ada") as connection:
        share(connection, "ada", "of ada", ["bob"])
        hers = connection.execute(sa.select(PATCH.c.id, PATCH.c.product_id)).first()
        feature_set = connection.execute(sa.select(FEATURE.c.feature_set_id)).scalars().first()
        connection.execute(sa.delete(FEATURE).where(FEATURE.c.patch_id == hers.id))
    assert sorted(names(database, "bob")) == ["of ada", "of bob"]
    row = {"patch_id": hers.id, "product_id": hers.product_id, "vector": [0.0] * 8}
    refused = pytest.raises(StorageError, match="row-level security")
    with refused, database.acting_for("bob") as connection:
        connection.execute(sa.insert(FEATURE).values(feature_set_id=feature_set, **row))


def test_a_row_cannot_name_a_product_that_is_not_its_patchs(database):
    """Or Bob could hang rows of his own on Ada's patches."""
    with database.acting_for("ada") as connection:
        hers = connection.execute(sa.select(PATCH.c.id)).scalars().first()
        connection.execute(sa.delete(FEATURE).where(FEATURE.c.patch_id == hers))
    with database.acting_for("bob") as connection:
        his = connection.execute(sa.select(PATCH.c.product_id)).scalars().first()
        feature_set = connection.execute(sa.select(FEATURE.c.feature_set_id)).scalars().first()
    with pytest.raises(StorageError, match="foreign key"), database.acting_for("bob") as connection:
        connection.execute(
            sa.insert(FEATURE).values(
                feature_set_id=feature_set, patch_id=hers, product_id=his, vector=[0.0] * 8
            )
        )


def test_only_the_owner_can_share(database):
    with database.acting_for("ada") as connection:
        number = connection.execute(sa.select(PRODUCT.c.id)).scalar_one()
    for owner in ("bob", "ada"):
        with pytest.raises(StorageError), database.acting_for("bob") as connection:
            connection.exec_driver_sql(
                "INSERT INTO product_share (product_id, reader, owner) VALUES (%s, 'bob', %s)",
                (number, owner),
            )
    assert names(database, "bob") == ["of bob"]


@pytest.fixture
def analyst_url(database, postgis_admin, postgis_url):
    """Give the URL of a login of a person, called eve, who may read and write the tables."""
    own = sa.make_url(postgis_admin).set(database=sa.make_url(postgis_url).database)
    admin = sa.create_engine(own, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        command = connection.exec_driver_sql
        if not command("SELECT 1 FROM pg_roles WHERE rolname = 'eve'").scalar():
            command("CREATE ROLE eve LOGIN PASSWORD 'secret'")
        command("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO eve")
    admin.dispose()
    url = sa.make_url(postgis_url).set(username="eve")
    return url.render_as_string(hide_password=False)


def test_a_login_of_its_own_acts_for_itself_whatever_it_sets(database, analyst_url, make_model):
    engine = sa.create_engine(analyst_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET candela.owner = 'ada'")
        connection.exec_driver_sql("SET search_path = pg_temp, public")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE product (id bigint, owner text)")
        assert connection.exec_driver_sql("SELECT count(*) FROM public.product").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM patch").scalar() == 0
        assert connection.exec_driver_sql("SELECT public.patches_viewer()").scalar() == "eve"
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.exec_driver_sql("SET row_security = off")
        connection.exec_driver_sql("SELECT * FROM public.product")
    engine.dispose()
    with database.acting_for("ada") as connection:
        share(connection, "ada", "of ada", ["eve"])
    engine = sa.create_engine(analyst_url)
    with engine.connect() as connection:
        assert connection.execute(sa.select(PRODUCT.c.name)).scalars().all() == ["of ada"]
        assert connection.execute(sa.select(ANNOTATION)).all() == []
    engine.dispose()


@pytest.mark.parametrize(
    "text",
    [
        "x' OR '1'='1",
        "x'; DROP TABLE product; --",
        "x') OR 1=1 --",
        "bob', true); SELECT set_config('candela.owner', 'ada",
        "%s%(owner)s:owner",
        "\\'; SELECT pg_sleep(1) --",
    ],
)
def test_text_of_users_is_never_taken_for_sql(database, text):
    for wanted in (PatchFilter(product=text), PatchFilter(owner=text)):
        with database.acting_for("bob") as connection:
            assert find_patches(connection, "bob", wanted) == []
    with database.acting_for(text) as connection:
        assert find_numbers(connection, text, PatchFilter()) == []
    assert names(database, "ada") == ["of ada"]


def test_a_name_full_of_quotes_is_a_name(database, make_model):
    name = "x'; DROP TABLE product; --\"\\"
    store_model(database, make_model(name), owner=name)
    with database.acting_for(name) as connection:
        found = find_patches(connection, name, PatchFilter(product=name))
    assert {(patch.product, patch.owner) for patch in found} == {(name, name)}


def test_an_address_with_a_password_is_never_told(postgis_url):
    wrong = sa.make_url(postgis_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StorageError, match="does not exist") as caught:
        open_database(wrong)
    assert "secret" not in str(caught.value)
    with pytest.raises(StorageError) as caught:
        open_database("secret-without-scheme")
    assert "secret" not in str(caught.value)
