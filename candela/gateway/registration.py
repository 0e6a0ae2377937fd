"""What a process must be that an operator adds at run time: checked before anything is kept.

Its code is an image by digest in a cluster, an installed package on one machine; its network is
denied unless its process.yaml declares it.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from candela.errors import InvalidValueError, SpecError, TooLargeError
from candela.gateway.maps.publisher import check_styles
from candela.implementations import module_of
from candela.jobs.added_processes import content_of
from candela.settings import Settings
from candela.spec import LOADER, UNBOUNDED, ProcessSpec, RunSpec, parse_spec

MOST_BYTES = 256 * 2**10
MOST_LEVELS = 20
NAME = "process.yaml"

_LABEL = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # of a Kubernetes label
_VERSION_LENGTH = 20
_NO_TEXT = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
)


@dataclass(frozen=True)
class Registration:
    """What may be added to a gateway.

    Attributes
    ----------
    in_cluster : bool
        Whether jobs run in a cluster.
    images : tuple of str
        Repositories, or folders of them.
    most : int
        How many processes may be added.
    limits : RunSpec
        The most that one may ask for.
    """

    in_cluster: bool
    images: tuple[str, ...]
    most: int
    limits: RunSpec

    @classmethod
    def of(cls, settings: Settings) -> "Registration":
        """Return what a gateway's settings allow."""
        limits = RunSpec(
            cpu=min(64, settings.process_cpu),
            memory=settings.process_memory,
            gpu=min(8, settings.process_gpu),
            timeout=settings.process_timeout_s,
        )
        return cls(
            settings.runner == "kubernetes",
            settings.process_images,
            settings.most_processes,
            limits,
        )

    def checked(self, content: bytes) -> ProcessSpec:
        """Read and check a process.yaml.

        Raises
        ------
        TooLargeError
            If it is larger than any process.yaml needs to be.
        InvalidValueError
            If it is wrong, or not allowed here; the locator is the key that is to blame.
        """
        text = _text(content)
        _check_structure(text)
        try:
            spec = parse_spec(text, NAME)
        except SpecError as error:
            raise InvalidValueError(str(error), _key_of(str(error))) from None
        except (ValueError, OverflowError) as error:  # such as a date of a 13th month
            raise InvalidValueError(f"{NAME}: {error}", "body") from None
        if "network" not in spec.run.model_fields_set:
            run = spec.run.model_copy(update={"network": False})
            spec = spec.model_copy(update={"run": run})
        _check_names(spec)
        _check_values(content_of(spec))
        self._check_limits(spec.run)
        self._check_code(spec)
        try:
            check_styles({spec.identifier: spec})
        except SpecError as error:
            raise InvalidValueError(str(error), "outputs") from None
        return spec

    def _check_limits(self, run: RunSpec) -> None:
        limits = self.limits
        for key, asked, most, shown in (
            ("cpu", run.cpu, limits.cpu, f"{limits.cpu:g}"),
            ("memory", run.memory_bytes, limits.memory_bytes, limits.memory),
            ("gpu", run.gpu, limits.gpu, str(limits.gpu)),
            ("timeout", run.timeout, limits.timeout, f"{limits.timeout} s"),
        ):
            if asked > most:
                raise InvalidValueError(
                    f"run.{key} is {getattr(run, key)}, at most {shown} is allowed", f"run.{key}"
                )

    def _check_code(self, spec: ProcessSpec) -> None:
        run = spec.run
        if self.in_cluster:
            if not run.has_own_image or run.package:
                raise InvalidValueError(
                    "in a cluster run.image names an image by digest "
                    "(registry/name@sha256:...), and there is no run.package",
                    "run.image",
                )
            if not any(_is_below(run.image, place) for place in self.images):
                allowed = ", ".join(self.images) or "none"
                raise InvalidValueError(
                    f"run.image is not of an allowed repository ({allowed})", "run.image"
                )
            return
        if run.image != "python" or not run.package:
            raise InvalidValueError(
                "on one machine run.package names an installed package with its version "
                "(name==1.2.0), and there is no run.image",
                "run.package",
            )
        try:
            module_of(spec)
        except SpecError as error:
            raise InvalidValueError(f"run.package: {error}", "run.package") from None


def _text(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise TooLargeError(f"a {NAME} has at most {MOST_BYTES} bytes", "body")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{NAME} is no UTF-8: {error}", "body") from None


def _check_structure(text: str) -> None:
    """Refuse what would cost more to read than its bytes: aliases, and deep nesting."""
    level = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            place = f"{NAME}:{event.start_mark.line + 1}" if event.start_mark else NAME
            if isinstance(event, yaml.AliasEvent):
                raise InvalidValueError(f"{place}: aliases are not allowed", "body")
            if isinstance(event, yaml.CollectionStartEvent):
                level += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                level -= 1
            if level > MOST_LEVELS:
                raise InvalidValueError(f"{place}: it is nested too deeply", "body")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidValueError(f"{NAME}:{line}: {error.problem}", "body") from None
    except yaml.YAMLError as error:
        raise InvalidValueError(f"{NAME}: {error}", "body") from None


def _key_of(message: str) -> str:
    """Return the key that the first line ``process.yaml:3: key: reason`` blames."""
    parts = message.partition("\n")[0].split(": ")
    return parts[1] if len(parts) > 2 else "body"


def _check_names(spec: ProcessSpec) -> None:
    if not _LABEL.fullmatch(spec.identifier):
        raise InvalidValueError(
            f"identifier is {spec.identifier!r}, expected at most 63 letters, digits and ._- "
            "between a letter and a letter or digit",
            "identifier",
        )
    if len(spec.version) > _VERSION_LENGTH:
        raise InvalidValueError(
            f"version has {len(spec.version)} characters, at most {_VERSION_LENGTH} are allowed",
            "version",
        )


def _check_values(content: Mapping[str, Any]) -> None:
    """Refuse what no document of a protocol can hold."""
    for place, value in _leaves(content, ""):
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise InvalidValueError(f"{place} has characters that are no text", place)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidValueError(f"{place} is {value}, expected a finite number", place)
        if isinstance(value, int) and abs(value) > UNBOUNDED:
            raise InvalidValueError(f"{place} is above {UNBOUNDED}", place)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, place)
    else:
        yield place, value


def _is_below(image: str, place: str) -> bool:
    """Tell whether an image is of a repository, or of one in a folder of repositories."""
    return image.startswith((f"{place.rstrip('/')}/", f"{place}@"))
