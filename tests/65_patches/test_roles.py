"""The logins of a production: one owns the tables, one writes, one reads."""

import os
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import find_binaries, postgres_server

from candela.errors import StorageError
from candela.patches.query.selection import PatchFilter, find_patches
from candela.patches.store.annotate import LabelAssignment, annotate
from candela.patches.store.database import open_database, open_server
from candela.patches.store.load import store_model
from candela.patches.store.tables import PATCH, PRODUCT

ROLES = Path(__file__).parents[2] / "k8s" / "components" / "patches" / "roles.sql"
LOGINS = ("owner", "writer", "reader")


@pytest.fixture(scope="module")
def server(postgis_admin):
    """Run a PostgreSQL of its own, as roles are of a whole server."""
    with postgres_server(find_binaries()) as url:
        admin = sa.make_url(url)
        environment = {f"PATCHES_{name.upper()}_PASSWORD": f"{name}'s secret" for name in LOGINS}
        place = f"host={admin.host} port={admin.port} user={admin.username} dbname=postgres"
        subprocess.run(
            [find_binaries() / "psql", "--set", "ON_ERROR_STOP=1", "--file", ROLES, place],
            check=True,
            env=os.environ | environment,
        )
        yield admin


def url_of(server, name):
    login = server.set(username=f"patches_{name}", password=f"{name}'s secret", database="patches")
    return login.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def logins(server):
    """Give a database for each login, upgraded by its owner."""
    owner = open_server(url_of(server, "owner"))
    owner.upgrade()
    owner.upgrade()  # as after each update
    opened = {"owner": owner, **{name: open_database(url_of(server, name)) for name in LOGINS[1:]}}
    yield opened
    for database in opened.values():
        database.close()


@pytest.fixture
def filled(logins, make_model):
    """A worker has written a product of Ada's, and one of Bob's, twice."""
    for _ in range(2):
        for owner in ("ada", "bob"):
            store_model(logins["writer"], make_model(f"of {owner}"), owner=owner)
    return logins


def numbers(database, viewer):
    with database.acting_for(viewer) as connection:
        return [patch.patch for patch in find_patches(connection, viewer, PatchFilter())]


def test_who_reads_sees_what_the_user_may_see_and_no_more(filled):
    mine, his = (numbers(filled["reader"], owner) for owner in ("ada", "bob"))
    assert len(mine) == len(his) == 20
    assert not set(mine) & set(his)
    assert numbers(filled["reader"], "eve") == []
    with filled["reader"].acting_for("ada") as connection:
        assert connection.execute(sa.select(PRODUCT.c.name)).scalars().all() == ["of ada"]


def test_who_reads_may_label_for_the_user_and_change_nothing_else(filled):
    reader = filled["reader"]
    number, his = numbers(reader, "ada")[0], numbers(reader, "bob")[0]
    for _ in range(2):
        with reader.acting_for("ada") as connection:
            annotate(connection, "ada", "corine", {number: [LabelAssignment("311")]})
    for change in (
        sa.delete(PATCH),
        sa.update(PRODUCT).values(visibility="public"),
        sa.text("DELETE FROM label"),
        sa.text("CREATE TABLE mine (id int)"),
        sa.text("CREATE TEMPORARY TABLE mine (id int)"),
        sa.text(
            "INSERT INTO annotation (patch_id, product_id, owner, visibility, scheme, code, "
            "origin, sensor, created) SELECT id, product_id, 'bob', 'public', 'corine', '311', "
            "'manual', '', now() FROM patch LIMIT 1"
        ),
        sa.text(
            "INSERT INTO annotation (patch_id, product_id, owner, visibility, scheme, code, "
            f"origin, sensor, created) SELECT {his}, product_id, 'ada', 'public', 'corine', "
            "'311', 'manual', '', now() FROM patch LIMIT 1"
        ),
    ):
        refused = pytest.raises(StorageError, match=r"denied|row-level security|foreign key")
        with refused, reader.acting_for("ada") as connection:
            connection.execute(change)


def test_who_writes_cannot_change_labels_tables_or_what_others_own(filled):
    writer = filled["writer"]
    with writer.acting_for("ada") as connection:
        assert connection.execute(sa.delete(PRODUCT).where(PRODUCT.c.owner == "bob")).rowcount == 0
    for statement in ("DELETE FROM label", "DROP TABLE patch", "CREATE TABLE mine (id int)"):
        with (
            pytest.raises(StorageError, match=r"denied|must be owner"),
            writer.acting_for("ada") as connection,
        ):
            connection.exec_driver_sql(statement)


def test_a_login_of_no_group_acts_for_itself(filled, server):
    admin = sa.create_engine(server.set(database="patches"), poolclass=sa.NullPool)
    with admin.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE ada LOGIN PASSWORD 'hers'")
        connection.exec_driver_sql("GRANT CONNECT ON DATABASE patches TO ada")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ada")
    hers = sa.create_engine(
        server.set(username="ada", password="hers", database="patches"), poolclass=sa.NullPool
    )
    with hers.begin() as connection:
        connection.exec_driver_sql("SET candela.owner = 'bob'")
        assert connection.execute(sa.select(PRODUCT.c.name)).scalars().all() == ["of ada"]


def test_the_index_of_outlines_serves_who_reads(filled):
    """In spite of row-level security, which passes over indices that might tell too much."""
    query = (
        "EXPLAIN SELECT id FROM patch WHERE outline && ST_MakeEnvelope(15, 45, 15.1, 45.1, 4326)"
    )
    with filled["reader"].acting_for("ada") as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = connection.exec_driver_sql(query).scalars().all()
    assert "patch_by_outline" in " ".join(plan)


def test_the_migration_of_logins_can_be_undone(filled):
    """Then the owner of the tables alone says for whom it acts."""
    from alembic import command

    from candela.patches.store.migrations import configuration

    def migrate(step, revision):
        with filled["owner"].acting_for("ada") as connection:
            config = configuration()
            config.attributes["connection"] = connection
            step(config, revision)

    migrate(command.downgrade, "0002")
    try:
        with pytest.raises(StorageError, match="newest schema"):
            filled["reader"].check()
        assert numbers(filled["reader"], "ada") == []
        assert len(numbers(filled["owner"], "ada")) == 20
    finally:
        migrate(command.upgrade, "head")
    assert len(numbers(filled["reader"], "ada")) == 20
