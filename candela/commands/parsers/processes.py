"""``candela processes``, ``describe``, ``execute`` and ``run``."""

import argparse
from pathlib import Path

from candela.commands.parsers.command import Commands, add_command

INPUTS = """\
an input is NAME=VALUE; "candela describe PROCESS" lists names, types and defaults:
  text, number, date     model=fast   resolution=10   noise_removal=true
  bounding box           area=1.2,43.5,1.5,43.7   (left,bottom,right,top in degrees)
                         area=300000,4897000,303000,4900000,EPSG:32631   (in that CRS)
  file                   product=S2A.zip   product=https://...   product=s3://bucket/S2A.zip
  XML, JSON              its path or address, or the text itself
  several values         bands=B04 bands=B03
"""
EXECUTE = f"""\
{INPUTS}
examples:
  candela execute Jpeg2Tiff product=S2A_MSIL2A_20200718T105031_N0214_R051_T31TCJ_20200718T132909.zip
  candela execute Jpeg2Tiff product=https://example.org/S2A.zip bands=B04 bands=B03 bands=B02 --wait
  candela execute ChangeDetect before=a.tif after=b.tif --save results
"""
RUN = f"""\
The process runs in this program: no server, no queue, no layers. Addresses are read with your own
rights: s3:// with those of AWS_... variables and ~/.aws.

{INPUTS}
examples:
  candela run Jpeg2Tiff product=S2A.zip area=1.2,43.5,1.5,43.7 --outputs results
  candela run ChangeDetect before=a.tif after=s3://bucket/b.tif --outputs results
"""


def add_processes(commands: Commands, gateway: argparse.ArgumentParser) -> None:
    """Declare ``candela processes`` and ``candela describe``."""
    add_command(
        commands, "processes", _processes, "list the processes of a gateway", parents=[gateway]
    )
    parser = add_command(
        commands,
        "describe",
        _describe,
        "show the inputs and outputs of a process",
        details="example:\n  candela describe ChangeDetect\n",
        parents=[gateway],
    )
    _add_process(parser)


def add_execute(commands: Commands, gateway: argparse.ArgumentParser) -> None:
    """Declare ``candela execute``."""
    parser = add_command(
        commands,
        "execute",
        _execute,
        "start a job on a gateway",
        details=EXECUTE,
        many="inputs",
        parents=[gateway],
    )
    _add_process(parser)
    _add_inputs(parser)
    parser.add_argument(
        "--title", default="", help="name of the job in lists (default: that of the process)"
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait for the job, and show its outputs (default: write its id and end)",
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="wait for the job, and download its outputs there"
    )
    parser.add_argument(
        "--files",
        choices=["auto", "reference", "inline"],
        default="auto",
        help="reference: send the paths of local files; inline: send their content, uploading "
        "those above 4 MiB; auto: reference for a gateway on this machine but for small text and "
        "vector files, else inline (default: %(default)s)",
    )


def add_run(commands: Commands) -> None:
    """Declare ``candela run``."""
    parser = add_command(
        commands,
        "run",
        _run,
        "run a process without a server",
        details=RUN,
        extras="worker",
        many="inputs",
    )
    _add_process(parser)
    _add_inputs(parser)
    parser.add_argument(
        "--outputs",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the output files (default: this one)",
    )


def _add_process(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "process", metavar="PROCESS", help="identifier, as candela processes lists it"
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", metavar="NAME=VALUE", nargs="*", help="an input; see below")


def _processes(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_processes

    show_processes(given.gateway)


def _describe(given: argparse.Namespace) -> None:
    from candela.commands.remote import show_description

    show_description(given.gateway, given.process)


def _execute(given: argparse.Namespace) -> None:
    from candela.commands.remote import execute

    execute(
        given.gateway,
        given.process,
        given.inputs,
        files=given.files,
        wait=given.wait,
        save=given.save,
        title=given.title,
    )


def _run(given: argparse.Namespace) -> None:
    from candela.commands.local import run

    run(given.process, given.inputs, given.outputs)
