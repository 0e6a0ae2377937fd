"""What a process is: services/<name>/process.yaml -> ProcessSpec.

Everything else about a process (descriptions, checks, resources, layer styles, help) is derived
from this one object.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from candela.errors import InvalidValueError, NoSuchInputError, NoSuchProcessError, SpecError
from candela.literals import LITERAL_TYPES, Scalar, parse_literal

UNBOUNDED = 2**31 - 1  # WPS wants a number: the largest xs:int stands for "any number"

MEDIA_TYPES = {
    "raster": ("image/tiff; subtype=geotiff", "image/tiff", "image/jp2"),
    "product": ("application/zip", "application/x-directory"),
    "json": ("application/json",),
    "geojson": ("application/geo+json", "application/json"),
    "vector": (
        "application/geo+json",
        "application/json",
        "application/vnd.geo+json",
        "application/geopackage+sqlite3",
        "application/zip",
        "application/x-zipped-shp",
    ),
    "geopackage": ("application/geopackage+sqlite3",),
    "csv": ("text/csv", "application/csv"),
    "png": ("image/png",),
    "zip": ("application/zip",),
    "xml": ("text/xml", "application/xml"),
    "text": ("text/plain",),
}  # by complex type; the first one is the default and what outputs have
TEXT_TYPES = frozenset({"json", "geojson", "csv", "xml", "text"})  # may stand inline in XML
TEXT_MEDIA_TYPES = frozenset(media_type for kind in TEXT_TYPES for media_type in MEDIA_TYPES[kind])
MIXED = "mixed"  # one of several complex types

WMS_MEDIA_TYPE = "application/x-ogc-wms"
WCS_MEDIA_TYPE = "application/x-ogc-wcs"
WFS_MEDIA_TYPE = "application/x-ogc-wfs"
LAYER_SERVICES = {
    "raster": {"wms": WMS_MEDIA_TYPE, "wcs": WCS_MEDIA_TYPE},
    "geojson": {"wms": WMS_MEDIA_TYPE, "wfs": WFS_MEDIA_TYPE},
    "geopackage": {"wms": WMS_MEDIA_TYPE, "wfs": WFS_MEDIA_TYPE},
}  # by the types that can be published

# Workers read all descriptions at their start, and libyaml is ten times as fast.
LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]
ValueName = Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]*$")]
Sentence = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi)$")]
Type = Literal[
    "string", "integer", "float", "boolean", "date", "datetime",
    "bbox",
    "raster", "product", "json", "geojson", "vector", "geopackage", "csv", "png", "zip", "xml",
    "text",
    "mixed",
]  # fmt: skip
Kind = Literal["raster", "json", "geojson", "geopackage", "csv", "png", "zip", "xml", "text"]

Need = Literal["patches"]
NEEDS: tuple[str, ...] = get_args(Need)

IMAGE_KINDS = ("python", "train")
IMAGE = r"[a-z0-9][a-z0-9._:/-]{0,254}@sha256:[0-9a-f]{64}"  # a tag may be moved, a digest not
IMAGE_SCHEMA = {"anyOf": [{"enum": list(IMAGE_KINDS)}, {"pattern": f"^{IMAGE}$"}]}
PACKAGE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}"
COUNT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "unbounded"}]}


class Strict(BaseModel):
    """A frozen model that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Described(Strict):
    """Something with a title and a type."""

    title: Sentence = Field(description="A few words.")
    abstract: str = Field(default="", description="What the title does not say.")
    type: Type = Field(description="A literal, bbox, or a kind of file.")
    one_of: tuple[Kind, ...] = Field(
        default=(), alias="oneOf", description="Of mixed: the kinds of file that it may be."
    )

    @model_validator(mode="after")
    def _check_kinds(self) -> Self:
        if (self.type == MIXED) != (len(set(self.one_of)) > 1):
            raise ValueError("oneOf names two or more kinds of file, of type mixed only")
        return self

    @property
    def is_literal(self) -> bool:
        """Whether the value is a single word or number."""
        return self.type in LITERAL_TYPES

    @property
    def is_bbox(self) -> bool:
        """Whether the value is a rectangle in a CRS."""
        return self.type == "bbox"

    @property
    def is_complex(self) -> bool:
        """Whether the value is a file."""
        return self.type in MEDIA_TYPES or self.type == MIXED

    @property
    def kinds(self) -> tuple[str, ...]:
        """The complex types that the value may have; the only one, or those of mixed."""
        return self.one_of or (self.type,)

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types of a complex value, the default first."""
        return tuple(dict.fromkeys(each for kind in self.kinds for each in MEDIA_TYPES[kind]))

    def kind_of(self, media_type: str | None) -> str | None:
        """Return the complex type that a media type stands for; None if it names no single one."""
        if self.type != MIXED:
            return self.type
        found = (media_type or "").lower().replace(" ", "")
        kinds = [
            kind
            for kind in self.kinds
            if found in [each.replace(" ", "") for each in MEDIA_TYPES[kind]]
        ]
        return kinds[0] if len(kinds) == 1 else None


class InputSpec(Described):
    """An input of a process."""

    allowed: tuple[Scalar, ...] | None = Field(
        default=None, description="Of a literal: the values to choose from."
    )
    minimum: float | None = Field(default=None, description="Of a number: the least value.")
    maximum: float | None = Field(default=None, description="Of a number: the largest value.")
    default: Scalar | None = Field(
        default=None, description="Of a literal: the value of requests that give none."
    )
    unit: str = Field(default="", description="Of a number, such as m or s.")
    crs: tuple[str, ...] = Field(
        default=("EPSG:4326",),
        description="Of a bbox: reference systems to name to clients; others are taken too.",
    )
    min_occurs: int = Field(
        default=1, ge=0, alias="minOccurs", description="0: the input may be left out."
    )
    max_occurs: Annotated[PositiveInt, WithJsonSchema(COUNT_SCHEMA)] = Field(
        default=1,
        alias="maxOccurs",
        description="Above 1, or unbounded: run gets a list.",
    )
    access: Literal["whole", "header"] = Field(
        default="whole",
        description="Of a raster; header: run gets a Source, only parts of which are fetched.",
    )
    zipped: bool = Field(
        default=False,
        description="Of a file: a zip file with one such file in it, or a gzip, is taken as well.",
    )

    @field_validator("max_occurs", mode="before")
    @classmethod
    def _accept_unbounded(cls, value: object) -> object:
        return UNBOUNDED if value == "unbounded" else value

    @model_validator(mode="after")
    def _check(self) -> "InputSpec":
        restricted = self.allowed or self.minimum is not None or self.maximum is not None
        if not self.is_literal and (restricted or self.default is not None):
            raise ValueError(f"allowed, minimum, maximum and default are not for type {self.type}")
        if self.access == "header" and self.type != "raster":
            raise ValueError("access: header is for type raster only")
        if self.min_occurs > self.max_occurs:
            raise ValueError(f"minOccurs {self.min_occurs} above maxOccurs {self.max_occurs}")
        if self.default is not None:
            if self.max_occurs > 1:
                raise ValueError("a default needs maxOccurs 1")
            try:
                self.parse(str(self.default))
            except InvalidValueError as error:
                raise ValueError(f"default: {error.message}") from None
        return self

    @property
    def is_required(self) -> bool:
        """Whether a request must have a value for this input."""
        return self.min_occurs > 0 and self.default is None

    @property
    def is_list(self) -> bool:
        """Whether ``run`` gets a list of values."""
        return self.max_occurs > 1

    def parse(self, text: str) -> Scalar:
        """Turn the text of a literal into its value and check it.

        Raises
        ------
        InvalidValueError
            If the text is no value of the type, or is not allowed.
        """
        value = parse_literal(self.type, text)
        self._check_value(value)
        return value

    def _check_value(self, value: Scalar) -> None:
        # NOTE: a description that was kept as JSON has dates as texts.
        allowed = (parse_literal(self.type, str(choice)) for choice in self.allowed or ())
        if self.allowed is not None and value not in allowed:
            choices = ", ".join(str(choice) for choice in self.allowed)
            raise InvalidValueError(f"{value!s} is not one of: {choices}")
        if isinstance(value, int | float):
            if self.minimum is not None and value < self.minimum:
                raise InvalidValueError(f"{value} is below the minimum {self.minimum:g}")
            if self.maximum is not None and value > self.maximum:
                raise InvalidValueError(f"{value} is above the maximum {self.maximum:g}")


class PublishSpec(Strict):
    """How an output is shown as a layer."""

    style: Identifier = Field(
        description="The name of a file in candela/publish/styles, or in the folder styles beside "
        "process.yaml."
    )


class OutputSpec(Described):
    """An output of a process."""

    publish: PublishSpec | None = Field(
        default=None, description="Of a raster, geojson or geopackage: it becomes a layer."
    )
    optional: bool = Field(default=False, description="Whether run may leave it out.")

    @model_validator(mode="after")
    def _check(self) -> "OutputSpec":
        if self.publish is not None and self.type not in LAYER_SERVICES:
            kinds = ", ".join(LAYER_SERVICES)
            raise ValueError(f"only {kinds} can be published, not type {self.type}")
        if self.type == "vector":
            raise ValueError("vector is for inputs: it stands for several formats")
        return self

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types that a file may have: one of each kind."""
        return tuple(MEDIA_TYPES[kind][0] for kind in self.kinds)


class RunSpec(Strict):
    """What a job needs."""

    image: Annotated[str, WithJsonSchema(IMAGE_SCHEMA)] = Field(
        default="python",
        description="The kind of image; train has TensorFlow. Or an image of its own by digest: "
        "registry/name@sha256:...",
    )
    package: Annotated[str, StringConstraints(pattern=rf"^({PACKAGE})?$")] = Field(
        default="",
        description="Of a process added at run time, on one machine: the installed distribution "
        "that has it, with its version: name==1.2.0.",
    )
    network: bool = Field(
        default=True,
        description="Whether a job may connect to public addresses, for inputs by reference too. "
        "Of a process added at run time the default is false.",
    )
    cpu: float = Field(default=1, gt=0, le=64, description="Cores.")
    memory: Memory = Field(default="1Gi", description="The limit, in Mi or Gi.")
    gpu: int = Field(default=0, ge=0, le=8, description="Graphics processors.")
    timeout: PositiveInt = Field(default=600, description="Seconds, from the start of the worker.")
    parallel: PositiveInt | None = Field(
        default=None, description="Jobs of the process at a time, on all gateways together."
    )
    needs: tuple[Need, ...] = Field(
        default=(),
        description="Further keywords of run; patches: a PatchTarget, the patch database and the "
        "owner of the job.",
    )

    @field_validator("image")
    @classmethod
    def _check_image(cls, image: str) -> str:
        if image not in IMAGE_KINDS and not re.fullmatch(IMAGE, image):
            raise ValueError(
                f"{image!r} is neither {' nor '.join(IMAGE_KINDS)} nor an image by digest "
                "(registry/name@sha256:<64 hexadecimal digits>)"
            )
        return image

    @property
    def has_own_image(self) -> bool:
        """Whether the image is one by digest, not a kind of ours."""
        return self.image not in IMAGE_KINDS

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return int(self.memory[:-2]) * {"Mi": 2**20, "Gi": 2**30}[self.memory[-2:]]


class Alias(Strict):
    """Another identifier of a process: requests may use it, no list of processes has it."""

    inputs: dict[ValueName, ValueName] = Field(
        default_factory=dict, description="Names of inputs under the alias: their own names."
    )


class Original(NamedTuple):
    """The process that an alias stands for, and its inputs by their names under the alias."""

    identifier: str
    inputs: dict[str, str]


class ProcessSpec(Strict):
    """One process, as its process.yaml says."""

    identifier: Identifier = Field(description="What requests call it.")
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        description="Three numbers; another version may give another result."
    )
    title: Sentence = Field(description="A few words.")
    abstract: Sentence = Field(description="What it does, in some sentences.")
    keywords: tuple[str, ...] = Field(default=(), description="For those who search.")
    source: str = Field(default="", description="The paper or code that it follows.")
    inputs: dict[ValueName, InputSpec] = Field(
        default_factory=dict, description="By the name of the parameter of run."
    )
    outputs: dict[ValueName, OutputSpec] = Field(
        min_length=1, description="By the key of what run returns."
    )
    run: RunSpec = Field(default=RunSpec(), description="What a job needs.")
    aliases: dict[Identifier, Alias] = Field(
        default_factory=dict,
        description="Other identifiers that requests may use; lists of processes do not have them.",
    )
    package: str = Field(default="", exclude=True)  # set by the loader
    original: Original | None = Field(default=None, exclude=True)  # of an alias

    @model_validator(mode="after")
    def _check_aliases(self) -> Self:
        for name, alias in self.aliases.items():
            for own in alias.inputs.values():
                if own not in self.inputs:
                    raise ValueError(f"alias {name}: there is no input {own!r}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _refuse_reserved(cls, data: Any) -> Any:  # noqa: ANN401 - raw YAML
        inputs = data.get("inputs") if isinstance(data, dict) else None
        reserved = {"workdir", "progress", *NEEDS} & set(inputs if isinstance(inputs, dict) else ())
        if reserved:
            raise ValueError(f"an input cannot be called {' or '.join(sorted(reserved))}")
        return data

    @property
    def is_external(self) -> bool:
        """Whether its code is not a part of this project: a package, or an image, of its own."""
        return bool(self.run.package) or self.run.has_own_image

    @cached_property
    def defaults(self) -> dict[str, Scalar | list[Scalar] | None]:
        """What ``run`` gets for the inputs that a request may leave out."""
        return {
            name: given.default if given.default is not None else [] if given.is_list else None
            for name, given in self.inputs.items()
            if not given.is_required
        }

    @cached_property
    def layers(self) -> dict[str, OutputSpec]:
        """The outputs that become layers."""
        return {name: output for name, output in self.outputs.items() if output.publish}

    @cached_property
    def links(self) -> dict[str, tuple[str, str, str]]:
        """The outputs that are links to layers: name -> (output, media type, title)."""
        return {
            f"{name}_{kind}": (name, media_type, f"{output.title}: {kind.upper()} layer")
            for name, output in self.layers.items()
            for kind, media_type in LAYER_SERVICES[output.type].items()
        }

    def known_as(self, alias: str) -> "ProcessSpec":
        """Return the process under one of its aliases, with the names that inputs have there."""
        given = self.aliases[alias].inputs
        shown = {own: name for name, own in given.items()}
        inputs = {shown.get(name, name): each for name, each in self.inputs.items()}
        original = Original(self.identifier, given)
        changes = {"identifier": alias, "inputs": inputs, "aliases": {}, "original": original}
        own = {name: getattr(self, name) for name in ProcessSpec.model_fields}
        return self.model_validate(own | changes)

    def refuse_unknown_inputs(self, names: Iterable[str]) -> None:
        """Check that all names are those of inputs.

        Raises
        ------
        NoSuchInputError
            With the first unknown name as its locator.
        """
        for name in names:
            if name not in self.inputs:
                raise NoSuchInputError(
                    f"{self.identifier} has no input {name!r} (inputs: {', '.join(self.inputs)})",
                    name,
                )


def load_spec(path: Path) -> ProcessSpec:
    """Read one process.yaml.

    Raises
    ------
    SpecError
        If the file is not valid: one line ``file:line: where: reason`` for each mistake.
    """
    spec = parse_spec(path.read_text(encoding="utf-8"), str(path))
    return spec.model_copy(update={"package": f"candela.services.{path.parent.name}"})


def parse_spec(text: str, place: str) -> ProcessSpec:
    """Read the text of a process.yaml, which messages call ``place``; raises as ``load_spec``."""
    try:
        data = yaml.load(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{place}:{line}: {error.problem}") from error
    try:
        return ProcessSpec.model_validate(data)
    except ValidationError as error:
        node = yaml.compose(text, Loader=LOADER)
        raise SpecError(
            "\n".join(
                f"{place}:{_line_of(node, item['loc'])}: "
                f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}"
                for item in error.errors()
            )
        ) from error


def _line_of(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """Return the line of the deepest node that the location names."""
    if node is None:
        return 1
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def services_folder() -> Path:
    """Return the folder of the installed processes."""
    return Path(str(files("candela.services")))


def load_specs(folder: Path | None = None) -> dict[str, ProcessSpec]:
    """Read every services/<name>/process.yaml.

    Returns
    -------
    dict
        The processes by identifier, in alphabetical order.

    Raises
    ------
    SpecError
        If a file is wrong, a folder has no description, or two share an identifier.
    """
    specs: dict[str, ProcessSpec] = {}
    taken: dict[str, str] = {}
    for path in sorted((folder or services_folder()).iterdir()):
        if not (path / "__init__.py").is_file():
            continue
        if not (path / "process.yaml").is_file():
            raise SpecError(f"{path}: a process needs a process.yaml")
        spec = load_spec(path / "process.yaml")
        for name in (spec.identifier, *spec.aliases):
            if name in taken:
                raise SpecError(
                    f"{path / 'process.yaml'}: identifier {name} is already taken by {taken[name]}"
                )
            taken[name] = spec.package
        specs[spec.identifier] = spec
    return dict(sorted(specs.items()))


def find_spec(specs: Mapping[str, ProcessSpec], identifier: str) -> ProcessSpec:
    """Return a process by its identifier, or by an alias.

    Raises
    ------
    NoSuchProcessError
        If there is none: the message lists what there is.
    """
    if identifier in specs:
        return specs[identifier]
    for spec in specs.values():
        if identifier in spec.aliases:
            return spec.known_as(identifier)
    raise NoSuchProcessError(
        f"there is no process {identifier!r} (processes: {', '.join(specs)})", "Identifier"
    )
