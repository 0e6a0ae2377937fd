"""process.yaml -> ProcessSpec."""

import datetime as dt

import pytest

from candela.errors import InvalidValueError, NotFoundError, SpecError
from candela.spec import UNBOUNDED, find_spec, load_spec, load_specs

VALID = """\
identifier: Sum
version: 1.0.0
title: A sum
abstract: Adds numbers.
inputs:
  first: {title: A number, type: float, minimum: 0, maximum: 10}
  mode: {title: A word, type: string, allowed: [a, b], default: a}
  day: {title: A day, type: date, minOccurs: 0}
  images: {title: Images, type: raster, minOccurs: 0, maxOccurs: unbounded}
outputs:
  image: {title: A picture, type: raster, publish: {style: grey}}
"""

ALIAS = "aliases: {Sum: {inputs: {start: first}}}\n"


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "sum" / "process.yaml"
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
        return path

    return write


def test_a_process_is_what_its_file_says(written):
    spec = load_spec(written(VALID))
    assert spec.identifier == "Sum"
    assert spec.package == "candela.services.sum"
    assert spec.inputs["first"].is_required
    assert not spec.inputs["mode"].is_required
    assert spec.inputs["images"].max_occurs == UNBOUNDED
    assert spec.run.memory_bytes == 2**30


def test_a_published_output_gets_links_to_its_layer(written):
    assert load_spec(written(VALID)).links == {
        "image_wms": ("image", "application/x-ogc-wms", "A picture: WMS layer"),
        "image_wcs": ("image", "application/x-ogc-wcs", "A picture: WCS layer"),
    }


@pytest.mark.parametrize("kind", ["geojson", "geopackage"])
def test_published_polygons_get_links_to_a_wfs(written, kind):
    text = VALID.replace("type: raster, publish", f"type: {kind}, publish")
    assert load_spec(written(text)).links == {
        "image_wms": ("image", "application/x-ogc-wms", "A picture: WMS layer"),
        "image_wfs": ("image", "application/x-ogc-wfs", "A picture: WFS layer"),
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("type: float", "type: double", 6, "inputs.first.type"),
        ("version: 1.0.0", "version: new", 2, "version"),
        ("title: A sum\n", "", 1, "title: Field required"),
        ("default: a", "default: c", 7, "c is not one of: a, b"),
        ("type: date,", "type: date, colour: red,", 8, "colour"),
        (
            "type: raster, publish",
            "type: json, publish",
            11,
            "only raster, geojson, geopackage can be",
        ),
        ("first:", "workdir:", 1, "an input cannot be called workdir"),
        ("first:", "patches:", 1, "an input cannot be called patches"),
        ("outputs:", "run: {needs: [gpu]}\noutputs:", 10, "run.needs.0: Input should be 'patches'"),
        ("type: raster, publish: {style: grey}", "type: vector", 11, "vector is for inputs"),
        ("abstract: Adds", "abstract: [Adds", 5, "expected"),
        ("type: date,", "type: mixed, oneOf: [json],", 8, "two or more kinds of file"),
        ("type: date,", "type: date, oneOf: [json, png],", 8, "of type mixed only"),
        ("outputs:", "aliases: {Total: {inputs: {a: b}}}\noutputs:", 1, "there is no input 'b'"),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_and_reason(written, old, new, line, reason):
    path = written(VALID.replace(old, new))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert f"{path}:{line}:" in str(caught.value)
    assert reason in str(caught.value)


def test_two_processes_cannot_share_an_identifier(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "process.yaml").write_text(VALID)
    with pytest.raises(SpecError, match="identifier Sum is already taken"):
        load_specs(tmp_path)


def test_an_alias_cannot_be_the_identifier_of_another_process(tmp_path):
    for name, text in (("one", VALID), ("two", VALID.replace("Sum", "Two") + ALIAS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "process.yaml").write_text(text)
    with pytest.raises(SpecError, match="identifier Sum is already taken"):
        load_specs(tmp_path)


def test_an_alias_has_the_process_with_its_names_of_inputs(written):
    own = load_spec(written(VALID + ALIAS.replace("Sum", "Total")))
    spec = find_spec({"Sum": own}, "Total")
    assert (spec.identifier, spec.original.identifier) == ("Total", "Sum")
    assert list(spec.inputs) == ["start", *list(own.inputs)[1:]]
    assert spec.outputs == own.outputs


def test_a_mixed_value_has_the_media_types_of_its_kinds(written):
    text = VALID.replace("type: date,", "type: mixed, oneOf: [json, xml],")
    day = load_spec(written(text)).inputs["day"]
    assert day.media_types == ("application/json", "text/xml", "application/xml")
    assert [day.kind_of(it) for it in ("application/XML", "text/plain", None)] == [
        "xml",
        None,
        None,
    ]


def test_a_folder_without_a_description_is_refused(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "__init__.py").touch()
    with pytest.raises(SpecError, match="needs a process"):
        load_specs(tmp_path)


def test_an_unknown_process_is_answered_with_those_there_are():
    with pytest.raises(NotFoundError, match=r"processes: ChangeDetect, .*Echo"):
        find_spec(load_specs(), "Ekko")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("first", " 2.5 ", 2.5), ("mode", "b", "b"), ("day", "2019-04-17", dt.date(2019, 4, 17))],
)
def test_the_text_of_a_literal_becomes_its_value(written, name, text, value):
    assert load_spec(written(VALID)).inputs[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("first", "eleven", "'eleven' is not of type float"),
        ("first", "11", "11.0 is above the maximum 10"),
        ("first", "-1", "-1.0 is below the minimum 0"),
        ("first", "nan", "'nan' is not of type float"),
        ("mode", "c", "c is not one of: a, b"),
        ("day", "17.4.2019", "is not of type date"),
    ],
)
def test_the_text_of_a_wrong_literal_is_refused(written, name, text, reason):
    with pytest.raises(InvalidValueError, match=reason):
        load_spec(written(VALID)).inputs[name].parse(text)
