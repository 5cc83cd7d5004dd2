"""The forms, and how they and the mistakes in them are judged."""

from __future__ import annotations

from sharded import forms_data, forms_model, forms_styles
from sharded.records import Answer, Form, Mistake

FORMS = {form.name: form for form in (*forms_data.FORMS, *forms_model.FORMS, *forms_styles.FORMS)}
DTYPES = ("float32", "bfloat16")


def certified(form: Form, dtype: str, devices: int) -> Answer:
    """Whether the model is certified, and what is said."""
    report = form.compared(devices, dtype)
    return report.passed, report.headline


def certified_in_training(form: Form, dtype: str, devices: int) -> Answer:
    """Whether the training is certified, and what is said."""
    report = form.trained(devices, dtype)
    return report.passed, report.headline


def names(mistake: Mistake, devices: int) -> Answer:
    """Whether the mistake alone is found, with its collective and axis, and what is said."""
    form = FORMS.get(mistake.form, forms_styles.DRAWN)
    if mistake.training:
        report = form.trained(devices, wrong=mistake.wrong, steps=2)
    else:
        report = form.compared(devices, wrong=mistake.wrong, order=0)
    said = " | ".join(fault.explanation for fault in report.faults)
    named = all(word in said for word in mistake.words)
    return not report.passed and named and len(report.faults) == 1, said
