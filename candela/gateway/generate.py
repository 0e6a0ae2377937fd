"""Write what is derived from descriptions of processes and from models: `make describe`.

Descriptions are for reading, for review, and for clients that want one without a server; the schema
and the tables of process.yaml are for its authors, those of settings for operators. A test compares
all with what they come from.
"""

import argparse
import json
from pathlib import Path

from lxml import etree
from pydantic import BaseModel

from candela.gateway.protocols.wps10 import describe
from candela.settings import GROUPS
from candela.settings.base import PREFIX, Default, Group, Option
from candela.spec import Alias, InputSpec, OutputSpec, ProcessSpec, PublishSpec, RunSpec, load_specs

BEGIN, END = "<!-- tables: make describe -->", "<!-- end of tables -->"


def descriptions() -> dict[str, bytes]:
    """Return the content of each file by its name."""
    return {
        f"{identifier}.xml": etree.tostring(
            describe.descriptions([spec]), xml_declaration=True, encoding="UTF-8", pretty_print=True
        )
        for identifier, spec in load_specs().items()
    }


def schema() -> str:
    """Return the JSON Schema of process.yaml, for editors."""
    document = ProcessSpec.model_json_schema(by_alias=True)
    for name, field in ProcessSpec.model_fields.items():
        if field.exclude:  # set by the loader
            document["properties"].pop(name)
    document["$defs"].pop("Original")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "process.yaml of CANDELA",
        "description": "What a process is.",
    }
    return json.dumps(document | head, indent=1) + "\n"


def reference() -> str:
    """Return the tables of the page about process.yaml."""
    parts = (
        ("The process", ProcessSpec),
        ("An input", InputSpec),
        ("An output", OutputSpec),
        ("`publish`", PublishSpec),
        ("`run`", RunSpec),
        ("An alias", Alias),
    )
    return "\n".join(_table(title, model) for title, model in parts)


def _table(title: str, model: type[BaseModel]) -> str:
    lines = [f"### {title}", "", "| key | default | what |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        default = "required" if field.is_required() else _default(field.get_default())
        lines.append(f"| `{field.alias or name}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return "" if value in (None, "") or isinstance(value, BaseModel) else f"`{value}`"


def settings_reference() -> str:
    """Return the tables of the page about settings."""
    return "\n".join(_settings_table(group) for group in GROUPS)


def _settings_table(group: type[Group]) -> str:
    title = (group.__doc__ or "").strip().rstrip(".")
    lines = [f"## {title}", "", "| variable | option | default | what |", "|---|---|---|---|"]
    for name, field in group.model_fields.items():
        marks = {
            type(mark): mark[0] for mark in field.metadata if isinstance(mark, Option | Default)
        }
        option = f"`{marks[Option]}`" if Option in marks else ""
        text = (field.description or "").replace("\n", " ")
        default = marks.get(Default) or _shown_setting(field.get_default(call_default_factory=True))
        lines.append(f"| `{PREFIX}{name.upper()}` | {option} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def _shown_setting(value: object) -> str:
    if value in (None, (), {}):
        return "none"
    if isinstance(value, tuple):  # as it is written in a variable
        value = json.dumps(value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"


def page(written: str, tables: str) -> str:
    """Return a page with its tables up to date."""
    head, begin, rest = written.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n{tables}{end}{tail}"


PAGES = {"process-yaml.md": reference, "settings.md": settings_reference}


def main() -> None:
    """Write the files, and remove those of processes that are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write, e.g. wps_config/describe")
    parser.add_argument("docs", type=Path, help="where the pages are, e.g. docs")
    given = parser.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    files = descriptions()
    for path in folder.glob("*.xml"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (given.docs / "process.schema.json").write_text(schema(), encoding="utf-8")
    for name, tables in PAGES.items():
        path = given.docs / name
        path.write_text(page(path.read_text(encoding="utf-8"), tables()), encoding="utf-8")


if __name__ == "__main__":
    main()
