"""``candela demo``."""

import argparse
import sys
from pathlib import Path

from candela.commands.parsers.command import Commands, add_command

DEMO = """\
examples:
  candela demo
  candela demo --size 2196 --data /tmp/candela
  candela demo S2A_before.zip S2B_after.zip
  candela demo --port 8090 --no-serve
"""


def add_demo(commands: Commands) -> None:
    """Declare ``candela demo``."""
    parser = add_command(
        commands,
        "demo",
        _demo,
        "find changes between two products, from end to end",
        details=DEMO,
        extras="gateway,worker",
        many="products",
    )
    parser.add_argument(
        "products",
        metavar="PRODUCT",
        nargs="*",
        help="path of a Sentinel-2 product (default: two synthetic ones, whose changes are known)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("candela-data"),
        help="folder of jobs and results (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=int,
        default=1098,
        help="side of synthetic products in pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=3, help="seed of synthetic products (default: %(default)s)"
    )
    parser.add_argument(
        "--serve",
        action=argparse.BooleanOptionalAction,
        help="keep the gateway running until Ctrl-C (default: in a terminal only)",
    )
    parser.add_argument(
        "--port", type=int, help="port of the gateway (default: 8080, another one if it is taken)"
    )


def _demo(given: argparse.Namespace) -> None:
    from candela.demo.run import run_demo

    run_demo(
        given.products,
        data=given.data,
        size=given.size,
        seed=given.seed,
        keep=sys.stdout.isatty() if given.serve is None else given.serve,
        port=given.port,
    )
