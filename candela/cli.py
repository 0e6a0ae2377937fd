"""The command ``candela``: serve, find processes, run them, look at jobs.

Only the parser stands here, so that ``--help`` is there at once; what a command does is imported
when it is called.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from candela import __version__
from candela.commands import examples
from candela.commands.address import DEFAULT_URL, gateway_address
from candela.commands.completion import SHELLS, completion
from candela.errors import CandelaError, RequestError

INTERRUPTED = 130  # what shells say of a program that was ended by Ctrl-C

Handler = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 if it failed, 2 if it was asked wrongly."""
    given = _read(arguments)
    handler: Handler = given.handler
    # OWSLib and rich are no part of what --help needs.
    from candela.client.errors import ClientError, InputValueError, RequestRefusedError

    try:
        handler(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if not given.extras or (error.name or "").startswith("candela"):
            raise
        return _say(_missing(error.name or "", given.extras), 1)
    except (RequestError, InputValueError, RequestRefusedError) as error:
        return _say(error, 2)
    except (CandelaError, ClientError, OSError) as error:
        return _say(error, 1)
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
    if given.asks_gateway:
        given.url = gateway_address(given.url)
    return given


def _missing(package: str, extras: str) -> str:
    return f"this needs {package}, which is not installed: pip install 'candela-eo[{extras}]'"


def _say(error: Exception | str, code: int) -> int:
    locator = getattr(error, "locator", "")
    named = f"{locator}: " if locator and repr(locator) not in str(error) else ""
    print(f"candela: {named}{error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="candela",
        description=examples.OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"candela {__version__}")
    # NOTE: SUPPRESS, or the default of an inner parser would undo "candela --url ... jobs".
    parser.add_argument("--url", help="address of the gateway, here or after the command")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    remote = argparse.ArgumentParser(add_help=False)
    remote.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        help=f"address of the gateway (default: CANDELA_URL, else {DEFAULT_URL})",
    )
    remote.set_defaults(asks_gateway=True)
    _add_serve(commands)
    _add_processes(commands, remote)
    _add_execute(commands, remote)
    _add_series(commands, remote)
    _add_jobs(commands, remote)
    _add_run(commands)
    _add_demo(commands)
    _add_patches(commands, remote)
    shell = _command(commands, "completion", _complete, "print a script for completion by a shell")
    shell.add_argument("shell", choices=SHELLS)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: Commands,
    name: str,
    handler: Handler,
    help_: str,
    *,
    examples: str = "",
    extras: str = "",
    many: str = "",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog=examples,
        parents=list(parents),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asks_gateway = any(parent.get_default("asks_gateway") for parent in parents)
    parser.set_defaults(handler=handler, extras=extras, many=many, asks_gateway=asks_gateway)
    return parser


def _add_serve(commands: Commands) -> None:
    parser = _command(
        commands,
        "serve",
        _serve,
        "start a gateway",
        examples=examples.SERVE,
        extras="gateway,worker",
    )
    parser.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        help=f"address for clients (default: CANDELA_URL, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--bind", metavar="HOST:PORT", help="where to listen, if not at the address"
    )
    parser.add_argument(
        "--internal-bind",
        metavar="HOST:PORT",
        help="where workers, probes and metrics are answered (default: where users are)",
    )
    parser.add_argument("--data", type=Path, help="folder of jobs and results (./candela-data)")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="where jobs are kept, e.g. postgresql+psycopg://user@host/name (SQLite in --data)",
    )
    parser.add_argument(
        "--input-folder",
        type=Path,
        action="append",
        default=[],
        help="folder that inputs may be read from; may be repeated",
    )
    parser.add_argument(
        "--allow-host",
        metavar="HOST",
        action="append",
        default=[],
        help="host, host:port or network (10.0.0.0/8) that inputs may be fetched from although it "
        "is not public; may be repeated",
    )
    parser.add_argument("--verbose", action="store_true", help="log more")


def _add_processes(commands: Commands, remote: argparse.ArgumentParser) -> None:
    _command(commands, "processes", _processes, "list the processes", parents=[remote])
    parser = _command(
        commands, "describe", _describe, "tell what a process takes and makes", parents=[remote]
    )
    parser.add_argument("process", metavar="PROCESS")


def _add_execute(commands: Commands, remote: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        "execute",
        _execute,
        "start a job",
        examples=examples.EXECUTE,
        many="inputs",
        parents=[remote],
    )
    parser.add_argument("process", metavar="PROCESS")
    parser.add_argument("inputs", metavar="NAME=VALUE", nargs="*")
    parser.add_argument("--title", default="", help="what you call the job")
    parser.add_argument("--wait", action="store_true", help="wait, and show the outputs")
    parser.add_argument("--save", type=Path, metavar="DIR", help="wait, and fetch the outputs")
    parser.add_argument(
        "--files",
        choices=["auto", "reference", "inline"],
        default="auto",
        help="send local files by their path, or in the request (default: by their path to a "
        "server on this machine)",
    )


def _add_series(commands: Commands, remote: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        "series",
        _series,
        "find what changed from product to product",
        examples=examples.SERIES,
        extras="worker",
        many="products",
        parents=[remote],
    )
    parser.add_argument("products", metavar="PRODUCT", nargs="+", help="paths or addresses")
    parser.add_argument(
        "--area", metavar="BOX", help="left,bottom,right,top in degrees, or with ,EPSG:... after it"
    )
    parser.add_argument("--model", help="of ChangeDetect, as it describes them")
    parser.add_argument("--parcels", metavar="FILE", help="polygons to tell the change of")
    parser.add_argument("--clouds", action="store_true", help="leave out clouds, shadows and snow")
    parser.add_argument(
        "--bands",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="NAME,NAME...",
        help="bands of the images in their order, where these do not name them: B02,B03,...",
    )
    parser.add_argument(
        "--own-scales",
        action="store_true",
        help="let each map have its own scale; by default those of one place share one",
    )
    parser.add_argument(
        "--parallel", type=int, default=4, help="jobs at the same time (%(default)s)"
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="fetch the maps, and draw them side by side"
    )


def _add_jobs(commands: Commands, remote: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        "jobs",
        _jobs,
        "list jobs, or look at one",
        examples=examples.JOBS,
        parents=[remote],
    )
    parser.add_argument("--status", choices=["accepted", "running", "succeeded", "failed"])
    parser.add_argument("--process", help="only those of this process")
    parser.add_argument("--limit", type=int, default=20, help="at most so many (%(default)s)")
    one = parser.add_subparsers(title="one job", metavar="")
    for name, handler, help_ in (
        ("show", _show, "show a job"),
        ("wait", _wait, "wait for a job"),
        ("log", _log, "show what its worker said"),
        ("dismiss", _dismiss, "end a job, and remove what it made"),
    ):
        action = _command(one, name, handler, help_, parents=[remote])
        action.add_argument("id", metavar="ID")
        if name == "wait":
            action.add_argument("--save", type=Path, metavar="DIR", help="fetch the outputs")


def _add_run(commands: Commands) -> None:
    parser = _command(
        commands,
        "run",
        _run,
        "run a process without a server",
        examples=examples.RUN,
        extras="worker",
        many="inputs",
    )
    parser.add_argument("process", metavar="PROCESS")
    parser.add_argument("inputs", metavar="NAME=VALUE", nargs="*")
    parser.add_argument("--outputs", type=Path, default=Path(), metavar="DIR", help="where to (.)")


def _add_demo(commands: Commands) -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "find changes between two products, from end to end",
        examples=examples.DEMO,
        extras="gateway,worker",
        many="products",
    )
    parser.add_argument(
        "products",
        metavar="PRODUCT",
        nargs="*",
        help="Sentinel-2 products; by default two are made up, so that the truth is known",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("candela-data"),
        help="folder of jobs and results (%(default)s)",
    )
    parser.add_argument(
        "--size", type=int, default=1098, help="side of made-up products, pixels (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=3, help="another seed, another landscape")
    parser.add_argument(
        "--serve",
        action=argparse.BooleanOptionalAction,
        help="keep the gateway running until Ctrl-C (default: in a terminal; scripts go on)",
    )
    parser.add_argument("--port", type=int, help="of the gateway (default: 8080 if it is free)")


def _add_patches(commands: Commands, remote: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "patches", help="search patch models, or keep their database", parents=[remote]
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for place, help_ in (
        ("items", "find patches, also by likeness"),
        ("products", "find products"),
        ("statistics", "count labels by product, date, size and label"),
        ("changes", "tell what became what between two products"),
        ("confusion", "compare two sources of labels"),
        ("schemes", "list label schemes"),
        ("feature-sets", "list by what patches may be alike"),
    ):
        action = _command(
            actions,
            place,
            _ask_patches,
            help_,
            examples=examples.PATCHES,
            many="conditions",
            parents=[remote],
        )
        action.add_argument("conditions", metavar="NAME=VALUE", nargs="*")
        action.add_argument("--form", choices=["geojson", "json", "csv"], help="for programs")
        action.set_defaults(place=place)
    action = _command(
        actions,
        "label",
        _label_patches,
        "give patches labels",
        examples=examples.PATCHES,
        many="labels",
        parents=[remote],
    )
    action.add_argument("scheme", metavar="SCHEME")
    action.add_argument("labels", metavar="PATCH=CODE", nargs="+")
    action.add_argument("--public", action="store_true", help="let others see the labels")
    _command(
        actions,
        "upgrade",
        _upgrade_patches,
        "bring the schema of CANDELA_PATCHES_DATABASE up to date",
        extras="gateway",
    )


def _complete(given: argparse.Namespace) -> None:
    print(completion(_parser(), given.shell), end="")


def _serve(given: argparse.Namespace) -> None:
    from candela.commands.address import with_scheme
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


def _processes(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_processes

    show_processes(given.url)


def _describe(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_description

    show_description(given.url, given.process)


def _execute(given: argparse.Namespace) -> None:
    from candela.commands.remote import execute

    execute(
        given.url,
        given.process,
        given.inputs,
        files=given.files,
        wait=given.wait,
        save=given.save,
        title=given.title,
    )


def _series(given: argparse.Namespace) -> None:
    from candela.client.assignments import read_box
    from candela.commands.series import run_series

    run_series(
        given.url,
        given.products,
        area=read_box("--area", given.area) if given.area else None,
        model=given.model,
        parcels=given.parcels,
        clouds=given.clouds,
        bands=given.bands,
        own_scales=given.own_scales,
        parallel=given.parallel,
        save=given.save,
    )


def _jobs(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_jobs

    show_jobs(given.url, status=given.status, process=given.process, limit=given.limit)


def _show(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_job

    show_job(given.url, given.id)


def _wait(given: argparse.Namespace) -> None:
    from candela.commands.remote import wait_for_job

    wait_for_job(given.url, given.id, save=given.save)


def _log(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_log

    show_log(given.url, given.id)


def _dismiss(given: argparse.Namespace) -> None:
    from candela.commands.remote import dismiss_job

    dismiss_job(given.url, given.id)


def _run(given: argparse.Namespace) -> None:
    from candela.commands.local import run

    run(given.process, given.inputs, given.outputs)


def _ask_patches(given: argparse.Namespace) -> None:
    from candela.commands.patches import ask

    ask(given.url, given.place, given.conditions, form=given.form)


def _label_patches(given: argparse.Namespace) -> None:
    from candela.commands.patches import label

    label(given.url, given.scheme, given.labels, public=given.public)


def _upgrade_patches(_: argparse.Namespace) -> None:
    from candela.commands.patches import upgrade

    upgrade()


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


if __name__ == "__main__":
    sys.exit(main())
