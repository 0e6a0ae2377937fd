"""The command ``candela``: serve, find processes, run them, look at jobs.

Only the parsers are imported here, so that ``--help`` is there at once; what a command does is
imported when it is called.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from candela import __version__
from candela.commands.completion import SHELLS, completion
from candela.commands.connection import connect
from candela.commands.parsers.command import Handler, add_command, gateway_options
from candela.commands.parsers.jobs import add_jobs
from candela.commands.parsers.patches import add_patches
from candela.commands.parsers.processes import add_execute, add_processes, add_run
from candela.commands.parsers.series import add_series
from candela.commands.parsers.serving import add_serve
from candela.demo.parser import add_demo
from candela.errors import CandelaError, RequestError

INTERRUPTED = 130  # what shells say of a program that was ended by Ctrl-C
OVERVIEW = """\
Copernicus algorithms as OGC web processing services.

  candela demo                       see it all at work, on synthetic data
  candela serve                      start a gateway on this machine
  candela processes                  what can it do?
  candela describe ChangeDetect      what does it need?
  candela execute Echo literal=hi --wait
  candela series A.zip B.zip C.zip   what changed from product to product?
  candela jobs                       what is it doing?
  candela patches items size=120     which patches are there?
  candela run Echo literal=hi --outputs out    the same without a server
  candela completion bash            let the shell complete commands and options
"""
VARIABLES = """\
variables of commands that ask a gateway:
  CANDELA_URL          its address
  CANDELA_TOKEN        the bearer token for it, or
  CANDELA_TOKEN_FILE   the file that has it; another gateway, named by --url, does not get it
  REQUESTS_CA_BUNDLE   the authorities that its certificate is checked by
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 if it failed, 2 if it was asked wrongly."""
    given = _read(arguments)
    handler: Handler = given.handler
    # OWSLib and rich are no part of what --help needs.
    from candela.client.errors import ClientError, InputValueError, RequestRefusedError

    try:
        if given.asks_gateway:
            given.gateway = connect(given.url, given.token_file)
        handler(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if not given.extras or (error.name or "").startswith("candela"):
            raise
        return _report(_missing(error.name or "", given.extras), 1)
    except (RequestError, InputValueError, RequestRefusedError) as error:
        return _report(error, 2)
    except (CandelaError, ClientError, OSError) as error:
        return _report(error, 1)
    return 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, with options anywhere: those between a process and its inputs too."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    many = [word for word in rest if not word.startswith("-")] if given.many else []
    if len(many) < len(rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if many:
        setattr(given, given.many, [*getattr(given, given.many), *many])
    return given


def _missing(package: str, extras: str) -> str:
    return f"this needs {package}, which is not installed: pip install 'candela-eo[{extras}]'"


def _report(error: Exception | str, code: int) -> int:
    locator = getattr(error, "locator", "")
    named = f"{locator}: " if locator and repr(locator) not in str(error) else ""
    print(f"candela: {named}{error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="candela",
        description=OVERVIEW,
        epilog=VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"candela {__version__}")
    parser.add_argument("--url", help="address of the gateway, here or after the command")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with the token, here or there"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    gateway = gateway_options()
    add_serve(commands)
    add_processes(commands, gateway)
    add_execute(commands, gateway)
    add_series(commands, gateway)
    add_jobs(commands, gateway)
    add_run(commands)
    add_demo(commands)
    add_patches(commands, gateway)
    shell = add_command(
        commands,
        "completion",
        _complete,
        "print a script for completion by a shell",
        details="example:\n  candela completion bash > "
        "~/.local/share/bash-completion/completions/candela\n",
    )
    shell.add_argument("shell", choices=SHELLS, help="the shell that reads the script")
    return parser


def _complete(given: argparse.Namespace) -> None:
    print(completion(_parser(), given.shell), end="")


if __name__ == "__main__":
    sys.exit(main())
