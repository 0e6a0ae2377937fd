"""How a command is declared: its words, its options, and what it calls."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from candela.commands.connection import DEFAULT_URL

Handler = Callable[[argparse.Namespace], None]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,
    name: str,
    handler: Handler,
    summary: str,
    *,
    details: str = "",
    extras: str = "",
    many: str = "",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.ArgumentParser:
    """Declare a command.

    Parameters
    ----------
    commands
        Where it belongs.
    name : str
        Its word.
    handler : callable
        Is called with what was read.
    summary : str
        What it does, for lists of commands.
    details : str
        What its own help adds below the options: rules and examples.
    extras : str
        The extras of the distribution that it needs.
    many : str
        The argument that takes all words which belong to no option.
    parents : sequence of ArgumentParser
        Options that it shares with others.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=details,
        parents=list(parents),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asks_gateway = any(parent.get_default("asks_gateway") for parent in parents)
    parser.set_defaults(handler=handler, extras=extras, many=many, asks_gateway=asks_gateway)
    return parser


def gateway_options() -> argparse.ArgumentParser:
    """Return the options of all commands that ask a gateway."""
    parser = argparse.ArgumentParser(add_help=False)
    # NOTE: SUPPRESS, or the default of an inner parser would undo "candela --url ... jobs".
    parser.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        help=f"address of the gateway (default: CANDELA_URL, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="file with the bearer token for the gateway (default: CANDELA_TOKEN, the file that "
        "CANDELA_TOKEN_FILE names, else a user of ~/.netrc)",
    )
    parser.set_defaults(asks_gateway=True)
    return parser
