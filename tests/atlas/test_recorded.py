"""What is on record of the catalogue's deviations: the files are read and written without loss, and fit the catalogue."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from declared import deviation_of
from recorded_here import FOLDER, SCHEMA, Environment, Record, files, read, recorded, seen_here, text

import crosscheck
from crosscheck import Anchor, Deviation, Region, Seen, SpecError

FILES = files()
DECLARED = [deviation.id for activation in crosscheck.activations.values() for deviation in activation.deviations]
each_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])

PLAIN = Region(0, ("float32",), ((0.0, 1.0),), (Anchor(0.5, {}),))
FULL = Region(
    2,
    ("float64", "float16"),
    ((-inf, -5e-324), (-0.0, -0.0), (nan, nan), (0.1, 1.7976931348623157e308)),
    (Anchor(-0.0, {"torch.native": -0.0, "jax.native": nan}), Anchor(nan, {"jax.native": -inf})),
    0.1 + 0.2,
    (2, 50257),
    {"alpha": 1 / 3},
    "AVX512",
    ("eager", "forward"),
)


def written(tmp_path: Path, record: Record) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(text(record), encoding="utf-8")
    return path


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(Seen(torch="~=9.1.0", jax=">=3,<4", device="gpu", capabilities=()), {"b": (PLAIN, FULL), "a": (FULL,)})
    path = written(tmp_path, record)
    again = read(path)
    # to the bit, which == cannot say of NaN and of zeros
    assert repr(again) == repr(record)
    assert text(again) == path.read_text("utf-8")


def test_a_whole_number_among_the_parameters_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, Record(Seen(torch=">=0", jax=">=0"), {"a": (replace(PLAIN, parameters={"axis": 0}),)}))
    assert text(read(path)) == path.read_text("utf-8")


def test_each_region_is_one_line_of_strict_json_without_its_defaults(tmp_path: Path) -> None:
    lines = written(tmp_path, Record(Seen(torch=">=0", jax=">=0"), {"a": (PLAIN, FULL)})).read_text("utf-8").splitlines()
    first, second = (json.loads(line.rstrip(","), parse_constant=pytest.fail) for line in lines if '"order"' in line)
    assert first == {
        "order": 0,
        "dtypes": ["float32"],
        "intervals": [[0.0, 1.0]],
        "anchors": [{"input": 0.5, "results": {}}],
    }
    assert second["intervals"][2] == ["nan", "nan"]
    assert set(second) == {*first, "max_ulp", "lengths", "parameters", "capability", "modes"}


@each_file
def test_a_file_that_is_read_and_written_again_is_the_same(path: Path) -> None:
    assert text(read(path)) == path.read_text("utf-8")


@each_file
def test_a_file_holds_deviations_of_the_catalogue_only_and_in_its_order(path: Path) -> None:
    held = read(path).deviations
    assert list(held) == [id_ for id_ in DECLARED if id_ in held]


@each_file
def test_a_region_has_as_few_intervals_as_a_person_can_read(path: Path) -> None:
    most = {id_: max(len(region.intervals) for region in regions) for id_, regions in read(path).deviations.items()}
    assert {id_: count for id_, count in most.items() if count > 8} == {}


def test_each_environment_has_one_file() -> None:
    seen = [read(path).seen for path in FILES]
    assert len(set(seen)) == len(seen) > 1


def test_a_deviation_of_the_catalogue_has_the_regions_on_record_and_where_they_were_seen() -> None:
    deviation = deviation_of("gelu", "gelu-top-binade")
    assert isinstance(deviation, Deviation)
    there = [record for record in map(read, FILES) if deviation.id in record.deviations]
    assert there
    assert deviation.seen == tuple(record.seen for record in there)
    seen = (replace(region, seen=(record.seen,)) for record in there for region in record.deviations[deviation.id])
    assert repr(deviation.regions) == repr(tuple(seen))  # as text, NaN equals itself


def declared_here() -> Deviation:
    return recorded(
        id="mine-differs", cause="special", implementations=("torch.native",), reason="Because.", link="https://a.b"
    )


def test_a_region_of_one_environment_is_not_asked_for_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Seen(torch="<2", jax=">=0"), Seen(torch=">=2", jax=">=0")
    files = (Record(old, {"mine-differs": (PLAIN,)}), Record(new, {"mine-differs": (replace(PLAIN, order=1),)}))
    monkeypatch.setattr("crosscheck._recorded.files.records", lambda: files)
    deviation = declared_here()
    assert deviation.seen == (old, new)
    assert [region.seen for region in deviation.regions] == [(old,), (new,)]
    here = Environment(torch="2.1", jax="0.4", device="cpu", capability="AVX2")
    assert [seen_here(deviation, here, region) for region in deviation.regions] == [False, True]


def test_a_deviation_that_is_not_on_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._recorded.files.records", tuple)
    message = "Deviation 'mine-differs': got no file in crosscheck/_recorded with regions under this id, expected one"
    with pytest.raises(SpecError, match=re.escape(message)):
        declared_here()


def changed(**fields: Any) -> Callable[[dict[str, Any]], object]:
    """The file with another second region of the deviation b."""
    return lambda data: data["deviations"]["b"][1].update(fields)


BROKEN: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (changed(order=3), "mine.json: b: region 2: Region.order: got 3, expected one of (0, 1, 2)"),
    (changed(order="two"), "mine.json: b: region 2: Expected `int`, got `str` - at `$.order`"),
    (changed(max_ulp="big"), "mine.json: b: region 2: Expected `float`, got `str` - at `$.max_ulp`"),
    (changed(dtypes=["float8"]), "mine.json: b: region 2: Region.dtypes: got ('float8',), expected some of"),
    (
        changed(intervals=[[0.0]]),
        "b: region 2: Expected `array` of length 2, got 1 - at `$.intervals[0]`",
    ),
    (changed(intervals=[[1.0, 0.0]]), "mine.json: b: region 2: Region.intervals: got (1.0, 0.0), expected low <= high"),
    (
        changed(anchors=[{"input": 7.0}]),
        "mine.json: b: region 2: Object missing required field `results` - at `$.anchors[0]`",
    ),
    (changed(anchors=[{"input": 7.0, "results": {}}]), "region 2: Region.anchors: 7.0 lies in none of the intervals"),
    (changed(max_upl=4.0), "mine.json: b: region 2: a region has no field 'max_upl'"),
    (lambda data: data["deviations"]["b"][1].pop("order"), "mine.json: b: region 2: Object missing required field `order`"),
    (lambda data: data["deviations"].update(b=[[]]), "mine.json: b: region 1: got list, expected an object"),
    (lambda data: data["deviations"].update(b=[]), "mine.json: b: expected a list of regions"),
    (lambda data: data["deviations"].update(b={}), "mine.json: b: expected a list of regions"),
    (lambda data: data.update(deviations=[]), "mine.json: deviations: expected an object"),
    (lambda data: data["seen"].pop("jax"), "mine.json: seen: Object missing required field `jax`"),
    (lambda data: data.pop("seen"), "mine.json: seen: Expected `object`, got `null`"),
    (lambda data: data.update(schema="crosscheck.recorded/2"), f"mine.json: got no object with the schema {SCHEMA!r}"),
]


@pytest.mark.parametrize(("breaks", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_file_is_refused_with_its_name_the_id_and_what_is_wrong(
    tmp_path: Path, breaks: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = written(tmp_path, Record(Seen(torch=">=0", jax=">=0"), {"a": (PLAIN,), "b": (PLAIN, PLAIN)}))
    data = json.loads(path.read_text("utf-8"))
    breaks(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(SpecError, match=re.escape(message)):
        read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"b"', '"a"', "mine.json: cannot be read as JSON: 'a' occurs twice"),
        ("}\n}\n", "}\n", "mine.json: cannot be read as JSON: Expecting ',' delimiter"),
    ],
    ids=["an id twice", "cut short"],
)
def test_what_json_would_hide_or_cannot_read_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, Record(Seen(torch=">=0", jax=">=0"), {"a": (PLAIN,), "b": (PLAIN,)}))
    path.write_text(path.read_text("utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(SpecError, match=re.escape(message)):
        read(path)


def test_the_files_lie_in_the_package() -> None:
    """Where the wheel takes them from; `nox -s build` lists the catalogue with the wheel alone."""
    assert {path.parent for path in FILES} == {Path(crosscheck.__file__).parent / "_recorded"} == {FOLDER}
