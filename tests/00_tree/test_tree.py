"""The tree defends itself."""

import ast
import inspect
import re
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from candela.gateway.generate import PAGES, descriptions, page, schema
from candela.gateway.maps.publisher import check_styles
from candela.settings import GROUPS, Settings
from candela.spec import load_specs, services_folder

ROOT = Path(__file__).parents[2]
SPECS = load_specs()
SOURCES = {"candela": ROOT / "candela", "services": ROOT / "services", "client": ROOT / "client"}


def package_of(path: Path) -> list[str]:
    """Return the name of the package that a file lies in, in parts."""
    folder = path.relative_to(ROOT).parent.parts
    return [*folder] if folder[0] == "candela" else ["candela", *folder]


def origin_of(node: ast.ImportFrom, path: Path) -> str:
    """Return the module that names are imported from, relative or not."""
    if not node.level:
        return node.module or ""
    package = package_of(path)
    parts = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
    return ".".join(parts)


def imports_of(path: Path) -> set[str]:
    """Return the modules of this project that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{origin_of(node, path)}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "candela"}


def test_every_folder_in_services_is_described():
    folders = {path.parent.name for path in services_folder().glob("*/__init__.py")}
    assert {spec.package.rsplit(".", 1)[1] for spec in SPECS.values()} == folders


@pytest.mark.parametrize("identifier", SPECS)
def test_run_takes_exactly_the_described_inputs(identifier):
    spec = SPECS[identifier]
    parameters = inspect.signature(import_module(spec.package).run).parameters
    assert set(parameters) == {*spec.inputs, *spec.run.needs, "workdir", "progress"}
    for parameter in parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("identifier", SPECS)
def test_every_style_that_a_process_asks_for_exists(identifier):
    check_styles({identifier: SPECS[identifier]})


# What each room may import beside itself. Rooms further down know nothing of those above.
ARROWS = {
    "errors": [],
    "backoff": [],
    "literals": ["errors"],
    "eo": ["errors"],
    "models": ["eo", "errors"],
    "memory": [],
    "signing": [],
    "postgresql": [],
    "sqlite": [],
    "synthetic": ["eo"],
    "storage": ["errors"],
    "contract": ["backoff", "eo", "storage", "errors"],
    "layers": ["contract", "eo", "errors"],
    "spec": ["literals", "errors"],
    "implementations": ["errors", "spec"],
    "settings": ["contract", "signing", "errors"],
    "patches": ["eo", "errors", "postgresql", "sqlite"],
    "services": ["eo", "models", "patches", "errors"],
    "worker": [
        "backoff",
        "contract",
        "implementations",
        "layers",
        "literals",
        "storage",
        "spec",
        "patches",
        "eo",
        "errors",
    ],
    "publish": ["backoff", "contract", "layers", "errors"],
    "runners": ["backoff", "contract", "storage", "spec", "errors"],
    "jobs": [
        "backoff",
        "contract",
        "eo",
        "errors",
        "postgresql",
        "publish",
        "runners",
        "settings",
        "spec",
        "storage",
        "sqlite",
    ],
    "client": [],
    "gateway": [
        "__version__",
        "contract",
        "errors",
        "implementations",
        "jobs",
        "memory",
        "patches",
        "publish",
        "runners",
        "settings",
        "spec",
        "storage",
        "worker",
    ],
    "commands": ["client", "contract", "gateway", "patches", "settings", "spec", "worker"],
    "demo": ["client", "commands", "eo", "errors", "synthetic"],
    "cli": ["__version__", "client", "commands", "demo", "errors"],
}


def room_of(module: str) -> str:
    """Return the room of a module: the first name below ``candela``."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_says_what_it_may_import():
    rooms = {path.stem for path in (ROOT / "candela").iterdir() if not path.stem.startswith("_")}
    assert rooms - {"py"} == set(ARROWS) - {"services", "client"}


@pytest.mark.parametrize("room", ARROWS)
def test_imports_point_one_way(room):
    place = SOURCES.get(room, ROOT / "candela" / room)
    paths = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    found = {path: {room_of(name) for name in imports_of(path)} - {room} for path in paths}
    wrong = {path.name: rooms - set(ARROWS[room]) for path, rooms in found.items()}
    assert {name: rooms for name, rooms in wrong.items() if rooms} == {}
    assert set().union(*found.values()) == set(ARROWS[room]), "an arrow that nobody needs"


def test_arrows_make_no_circle():
    assert list(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize("identifier", SPECS)
def test_a_process_imports_no_other_process(identifier):
    package = SPECS[identifier].package
    folder = services_folder() / package.rsplit(".", 1)[1]
    imported = {name for path in folder.rglob("*.py") for name in imports_of(path)}
    others = {name for name in imported if name.startswith("candela.services.")}
    assert {name for name in others if not f"{name}.".startswith(f"{package}.")} == set()


def test_nothing_that_serves_imports_training():
    training = ROOT / "candela" / "models" / "training"
    importers = {
        path.relative_to(ROOT).as_posix()
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        if not path.is_relative_to(training)
        and any(name.startswith("candela.models.training") for name in imports_of(path))
    }
    assert importers == set()


# The same inside the gateway. The assembly (app) alone knows all rooms; no codec knows another one.
GATEWAY_ARROWS = {
    "front": [],
    "access": ["front"],
    "parameters": [],
    "problems": ["access", "parameters"],
    "results": [],
    "request_preferences": ["access"],
    "outputs": ["access", "results"],
    "uploads": ["access", "parameters"],
    "protocols/crs": [],
    "protocols/xml": [],
    "protocols/body": [],
    "protocols/waiting": [],
    "protocols/service_metadata": ["protocols/xml"],
    "protocols/reports": ["problems", "protocols/xml"],
    "protocols/versions": ["problems", "protocols/body", "protocols/reports"],
    "protocols/geoserver_address": ["protocols/reports", "protocols/versions"],
    "protocols/*": [
        "access",
        "front",
        "outputs",
        "parameters",
        "problems",
        "protocols/body",
        "protocols/crs",
        "protocols/reports",
        "protocols/service_metadata",
        "protocols/waiting",
        "protocols/xml",
        "request_preferences",
        "results",
    ],
    "maps": ["access", "outputs", "problems"],
    "search": ["access", "parameters", "request_preferences"],
    "stac": ["access", "parameters", "results"],
    "console": ["access", "problems", "results"],
    "ops": ["access", "parameters", "results"],
    "processes_admin": ["access", "parameters", "registration"],
    "registration": ["maps"],
    "runner": [],
    "generate": ["protocols/wps10"],
    "server": ["access", "app", "front", "maps", "staging"],
    "staging": ["uploads"],
}


def gateway_room_of(module: str) -> str:
    """Return the room of a module of the gateway: ``maps``, ``protocols/wps10`` ..."""
    _, _, room, *rest = module.split(".")
    return f"{room}/{rest[0]}" if room == "protocols" and rest else room


@pytest.mark.parametrize(
    "path", sorted((ROOT / "candela/gateway").rglob("*.py")), ids=lambda path: path.stem
)
def test_rooms_of_the_gateway_know_only_what_they_build_on(path):
    room = gateway_room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if room in {"__init__", "app"}:
        return
    codec = "protocols/*" if room.startswith("protocols/") else room
    allowed = GATEWAY_ARROWS.get(room, GATEWAY_ARROWS.get(codec))
    assert allowed is not None, f"{room} is new: say what it may import"
    inside = {name for name in imports_of(path) if name.startswith("candela.gateway.")}
    rooms = {gateway_room_of(name) for name in inside} - {room}
    assert rooms <= set(allowed), f"{path.relative_to(ROOT)} imports {rooms - set(allowed)}"


def test_only_settings_and_the_connection_of_a_command_read_the_environment():
    # Settings are read by pydantic, which needs no os.environ; a command has no settings.
    readers = [
        path.relative_to(ROOT).as_posix()
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        if "os.environ" in (text := path.read_text(encoding="utf-8")) or "getenv" in text
    ]
    assert readers == ["candela/commands/connection.py"]


def test_only_the_transport_of_the_client_opens_connections():
    packages = {"requests", "urllib3", "http", "socket", "ssl"}
    names = {"urllib.request", "openURL"}
    found = set()
    for path in SOURCES["client"].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = {alias.name for alias in node.names}
                if isinstance(node, ast.ImportFrom):
                    imported |= {node.module, *(f"{node.module}.{name}" for name in imported)}
                if imported & names or {name.split(".")[0] for name in imported} & packages:
                    found.add(path.name)
    assert found == {"transport.py"}


def test_names_are_the_fields_not_our_own():
    """The glossary in CONTRIBUTING.md has what to say instead."""
    ours = re.compile(
        r"^(Wanted|Given|Found|Looked|Alike|Wishes|Team|Patience)$|(^|_)(told|wished|looked)$"
    )
    found = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ours.search(node.name)
    }
    assert found == set()


def test_no_module_is_called_by_a_word_that_says_nothing():
    names = {path.stem for folder in SOURCES.values() for path in folder.rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_the_schema_of_process_yaml_is_up_to_date():
    assert (ROOT / "docs" / "process.schema.json").read_text(encoding="utf-8") == schema()


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_of_pages_are_up_to_date(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == page(written, PAGES[name]()), "run `make describe`"


def test_every_setting_is_described():
    fields = {name: field for group in GROUPS for name, field in group.model_fields.items()}
    assert set(fields) == set(Settings.model_fields)
    assert {name for name, field in fields.items() if not field.description} == set()


def test_the_written_descriptions_are_up_to_date():
    folder = ROOT / "wps_config" / "describe"
    written = {path.name: path.read_bytes() for path in folder.glob("*.xml")}
    assert written == descriptions(), "run `make describe`"


def calls_of(path: Path) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_only_one_module_makes_reference_systems_of_text():
    """GDAL and PROJ would open files and addresses that the text names."""
    makers = {"from_user_input", "from_string", "from_wkt", "from_dict", "from_proj4", "from_json"}
    allowed = {
        "candela/eo/reference_system.py",
        "candela/layers/polygons.py",  # what GDAL itself says of a process's output
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in SOURCES.values()
        for path in folder.rglob("*.py")
        for call in calls_of(path)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in makers
        and ast.unparse(call.func.value).split(".")[-1] == "CRS"
    }
    assert found == allowed


def test_only_one_module_puts_text_behind_a_work_folder():
    """A name of which no part is written in the source could lead out of the folder."""
    folders = {"workdir", "folder", "work"}
    found = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for folder in ("services", "candela/eo", "candela/models")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.left, ast.Name)
        and node.left.id in folders
        and not isinstance(node.right, ast.Constant)
    ]
    training = ("candela/models/encoder.py", "candela/models/training/")
    assert [line.split(":")[0] for line in found if not line.startswith(training)] == [
        "candela/eo/file_names.py"
    ]


def test_the_gateway_asks_for_jobs_at_their_service_alone():
    """What asks the store itself asks for nobody: it would see the jobs of all owners."""
    assembly = {"app.py", "server.py", "ops/metrics.py"}  # make a store, and count all it has
    folder = ROOT / "candela" / "gateway"
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).as_posix() in assembly:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        asked = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("jobs.store")
        ]
        assert not asked, f"{path.relative_to(ROOT)}: {asked}"
        assert not imports_of(path) & {"candela.jobs.store", "candela.jobs.store.JobStore"}, path
