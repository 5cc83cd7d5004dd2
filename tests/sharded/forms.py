"""The rows of the tables of forms and of mistakes."""

from __future__ import annotations

from collections.abc import Iterator

from sharded import forms_data, forms_model, forms_styles
from sharded.mistakes import MISTAKES

FORMS = {one.name: one for one in (*forms_data.FORMS, *forms_model.FORMS, *forms_styles.FORMS)}
DTYPES = ("float32", "bfloat16")


def rows(devices: int, words: list[str] | None) -> Iterator[tuple[str, bool, str]]:
    """For each form, the model and its training, in each dtype: whether it is certified, and what is said."""
    for name, form in FORMS.items():
        if words and not any(word in name for word in words):
            continue
        for dtype in DTYPES:
            report = form.compared(devices, dtype)
            yield f"{name}, {dtype}", report.passed, report.headline
            if form.trains:
                training = form.trained(devices, dtype)
                yield f"{name}, {dtype}, trained", training.passed, training.headline


def mistakes(devices: int, words: list[str] | None) -> Iterator[tuple[str, bool, str]]:
    """For each mistake, whether it alone is found, with its collective and axis."""
    for one in MISTAKES:
        name = f"{one.form}: {one.wrong}"
        if words and not any(word in name for word in words):
            continue
        form = FORMS.get(one.form, forms_styles.DRAWN)
        if one.training:
            report = form.trained(devices, wrong=one.wrong, steps=2)
        else:
            report = form.compared(devices, wrong=one.wrong, order=0)
        said = " | ".join(fault.explanation for fault in report.faults)
        named = all(word in said for word in one.words)
        yield name, not report.passed and named and len(report.faults) == 1, said
