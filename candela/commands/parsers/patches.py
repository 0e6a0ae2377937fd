"""``candela patches``."""

import argparse

from candela.commands.parsers.command import Commands, add_command

PATCHES = """\
Conditions are those of the gateway's /patches (docs/patches.md).

examples:
  candela patches items size=120 bbox=14.9,45.0,15.2,45.2 datetime=2020-06-01/..
  candela patches items like=17 label=corine:31 limit=20 --form geojson
  candela patches statistics scheme=earth --form csv
  candela patches changes before=june after=august size=120
  candela patches confusion truth=reference compared=model:fused
  candela patches label corine 17=311 18=512
"""
QUESTIONS = {
    "items": "find patches, also by likeness",
    "products": "find products",
    "statistics": "count labels by product, date, size and label",
    "changes": "count label transitions between two products",
    "confusion": "compare two sources of labels",
    "schemes": "list label schemes",
    "feature-sets": "list feature sets, by which patches may be alike",
}


def add_patches(commands: Commands, gateway: argparse.ArgumentParser) -> None:
    """Declare ``candela patches``."""
    parser = commands.add_parser(
        "patches", help="search patch models, or keep their database", parents=[gateway]
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for place, summary in QUESTIONS.items():
        action = add_command(
            actions,
            place,
            _ask,
            summary,
            details=PATCHES,
            many="conditions",
            parents=[gateway],
        )
        action.add_argument(
            "conditions", metavar="NAME=VALUE", nargs="*", help="a condition (default: none)"
        )
        action.add_argument(
            "--form",
            choices=["geojson", "json", "csv"],
            help="write the answer as it comes in this format (default: a table)",
        )
        action.set_defaults(place=place)
    _add_label(actions, gateway)
    add_command(
        actions,
        "upgrade",
        _upgrade,
        "bring the schema of CANDELA_PATCHES_DATABASE up to date",
        extras="gateway",
    )


def _add_label(actions: Commands, gateway: argparse.ArgumentParser) -> None:
    action = add_command(
        actions,
        "label",
        _label,
        "give patches labels",
        details=PATCHES,
        many="labels",
        parents=[gateway],
    )
    action.add_argument("scheme", metavar="SCHEME", help="label scheme, such as corine")
    action.add_argument(
        "labels",
        metavar="PATCH=CODE",
        nargs="+",
        help="number of a patch and its label; 17= takes the labels of patch 17 away",
    )
    action.add_argument(
        "--public", action="store_true", help="show the labels to others too (default: private)"
    )


def _ask(given: argparse.Namespace) -> None:
    from candela.commands.patches import ask

    ask(given.gateway, given.place, given.conditions, form=given.form)


def _label(given: argparse.Namespace) -> None:
    from candela.commands.patches import label

    label(given.gateway, given.scheme, given.labels, public=given.public)


def _upgrade(_: argparse.Namespace) -> None:
    from candela.commands.patches import upgrade

    upgrade()
