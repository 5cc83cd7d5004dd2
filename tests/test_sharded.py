"""What the session ``sharded`` found last is on file, is that of its forms and mistakes, and is as it must be."""

import json
from pathlib import Path

import pytest
from sharded.forms import FORMS
from sharded.mistakes import MISTAKES

KEPT = json.loads((Path(__file__).parent.parent / "results" / "sharded" / "sharded.json").read_text(encoding="utf-8"))
TABLES = {(one["table"], one["devices"]): {row["row"]: row for row in one["rows"]} for one in KEPT["tables"]}


def test_every_row_is_as_it_must_be() -> None:
    assert not [row for rows in TABLES.values() for row in rows.values() if not row["right"]]
    assert {count for table, count in TABLES if table == "forms"} == {2, 4, 8}


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_each_form_is_certified_in_both_dtypes_with_its_training(devices: int) -> None:
    for name, form in FORMS.items():
        for dtype in ("float32", "bfloat16"):
            assert f"{name}, {dtype}" in TABLES["forms", devices]
            assert not form.trains or f"{name}, {dtype}, trained" in TABLES["forms", devices]


def test_each_mistake_is_named_with_its_collective_and_axis() -> None:
    assert len(MISTAKES) >= 25
    rows = TABLES["mistakes", 4]
    assert set(rows) == {f"{one.form}: {one.wrong}" for one in MISTAKES}
    for one in MISTAKES:
        assert one.words
        assert all(word in rows[f"{one.form}: {one.wrong}"]["said"] for word in one.words)
