"""``candela serve``."""

import argparse
from pathlib import Path

from candela.commands.connection import DEFAULT_URL
from candela.commands.parsers.command import Commands, add_command

SERVE = """\
examples:
  candela serve
  candela serve --data /srv/candela --input-folder /srv/sentinel
  candela serve --url https://eo.example.org/candela --bind 127.0.0.1:8080

The address says where clients reach the gateway: all links begin with it. Settings that are not
given here come from CANDELA_... variables. Ctrl-C ends the gateway; jobs that run then go on, and
the next start takes them up.
"""


def add_serve(commands: Commands) -> None:
    """Declare ``candela serve``."""
    parser = add_command(
        commands, "serve", _serve, "start a gateway", details=SERVE, extras="gateway,worker"
    )
    parser.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        help=f"address for clients (default: CANDELA_URL, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--bind",
        metavar="HOST:PORT",
        help="where to listen (default: host and port of the address)",
    )
    parser.add_argument(
        "--internal-bind",
        metavar="HOST:PORT",
        help="where workers, probes and metrics are answered (default: where users are)",
    )
    parser.add_argument(
        "--data", type=Path, help="folder of jobs and results (default: ./candela-data)"
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="database of jobs, such as postgresql+psycopg://user@host/name (default: SQLite in "
        "the folder of --data)",
    )
    parser.add_argument(
        "--input-folder",
        type=Path,
        action="append",
        default=[],
        help="folder that inputs may be read from (default: none); may be repeated",
    )
    parser.add_argument(
        "--allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="host, host:port or network (10.0.0.0/8) that inputs may be fetched from although it "
        "is not public (default: none); may be repeated",
    )
    parser.add_argument("--verbose", action="store_true", help="log debug messages too")


def _serve(given: argparse.Namespace) -> None:
    from candela.commands.connection import with_scheme
    from candela.commands.serving import serve_gateway

    serve_gateway(
        url=with_scheme(given.url) if given.url else None,
        bind=given.bind,
        internal_bind=given.internal_bind,
        data=given.data,
        database=given.database,
        input_folders=given.input_folder,
        allowed_hosts=given.allow_host,
        verbose=given.verbose,
    )
