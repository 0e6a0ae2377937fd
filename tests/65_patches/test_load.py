import numpy as np
import sqlalchemy as sa

from candela.patches.load import store_model
from candela.patches.tables import FEATURE, PATCH, QUICKLOOK


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
