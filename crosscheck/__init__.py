"""The referee between PyTorch and JAX: where they differ, by how many ULP, which side is wrong, and why.

Importing crosscheck imports neither framework; each is imported when it is first needed.
"""

import importlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosscheck._api import explain, plot, verify
    from crosscheck._atlas.records import AtlasRow
    from crosscheck._atlases import atlas, atlas_diff
    from crosscheck._backends.base import NoDeviceError
    from crosscheck._backends.settings import precision
    from crosscheck._catalogue import UnknownActivationError, activations
    from crosscheck._compare.records import CauseCount, Comparison, Diagnosis, Finding, Identity, Point
    from crosscheck._functions import assert_agree, compare, identify
    from crosscheck._pair.inputs import every_value, normal, stratified, uniform
    from crosscheck._perceptron.model import Perceptron
    from crosscheck._report.arrays import ArraysReport
    from crosscheck._report.atlas import Atlas
    from crosscheck._report.atlas_diff import AtlasDiff
    from crosscheck._report.pair import PairReport
    from crosscheck._report.perceptron import PerceptronReport
    from crosscheck._report.perceptrons import LossesReport, PerceptronsReport
    from crosscheck._report.report import Report
    from crosscheck._report.sweep import SweepReport
    from crosscheck._saved import compare_arrays, dump
    from crosscheck._spec.errors import SpecError, UsageError
    from crosscheck._spec.interface import MissingFrameworkError
    from crosscheck._spec.ranges import Range
    from crosscheck._spec.records import (
        Activation,
        Anchor,
        Deviation,
        Kink,
        Limits,
        Native,
        Region,
        Seen,
    )
    from crosscheck._sweep.records import Binade, SweepDifference, SweepResult
    from crosscheck._sweeps import sweep
    from crosscheck._trainings import losses, perceptron, perceptrons

_HOME = {
    "Activation": "_spec.records",
    "Anchor": "_spec.records",
    "ArraysReport": "_report.arrays",
    "Atlas": "_report.atlas",
    "AtlasDiff": "_report.atlas_diff",
    "AtlasRow": "_atlas.records",
    "Binade": "_sweep.records",
    "CauseCount": "_compare.records",
    "Comparison": "_compare.records",
    "Deviation": "_spec.records",
    "Diagnosis": "_compare.records",
    "Finding": "_compare.records",
    "Identity": "_compare.records",
    "Kink": "_spec.records",
    "Limits": "_spec.records",
    "LossesReport": "_report.perceptrons",
    "MissingFrameworkError": "_spec.interface",
    "Native": "_spec.records",
    "NoDeviceError": "_backends.base",
    "PairReport": "_report.pair",
    "Perceptron": "_perceptron.model",
    "PerceptronReport": "_report.perceptron",
    "PerceptronsReport": "_report.perceptrons",
    "Point": "_compare.records",
    "Range": "_spec.ranges",
    "Region": "_spec.records",
    "Report": "_report.report",
    "Seen": "_spec.records",
    "SpecError": "_spec.errors",
    "SweepDifference": "_sweep.records",
    "SweepReport": "_report.sweep",
    "SweepResult": "_sweep.records",
    "UnknownActivationError": "_catalogue",
    "UsageError": "_spec.errors",
    "activations": "_catalogue",
    "assert_agree": "_functions",
    "atlas": "_atlases",
    "atlas_diff": "_atlases",
    "compare": "_functions",
    "compare_arrays": "_saved",
    "dump": "_saved",
    "every_value": "_pair.inputs",
    "explain": "_api",
    "identify": "_functions",
    "losses": "_trainings",
    "normal": "_pair.inputs",
    "perceptron": "_trainings",
    "perceptrons": "_trainings",
    "plot": "_api",
    "precision": "_backends.settings",
    "stratified": "_pair.inputs",
    "sweep": "_sweeps",
    "uniform": "_pair.inputs",
    "verify": "_api",
}
"""Where each public name is defined; looked up at first use, so that the import stays light."""

__all__ = [
    "Activation",
    "Anchor",
    "ArraysReport",
    "Atlas",
    "AtlasDiff",
    "AtlasRow",
    "Binade",
    "CauseCount",
    "Comparison",
    "Deviation",
    "Diagnosis",
    "Finding",
    "Identity",
    "Kink",
    "Limits",
    "LossesReport",
    "MissingFrameworkError",
    "Native",
    "NoDeviceError",
    "PairReport",
    "Perceptron",
    "PerceptronReport",
    "PerceptronsReport",
    "Point",
    "Range",
    "Region",
    "Report",
    "Seen",
    "SpecError",
    "SweepDifference",
    "SweepReport",
    "SweepResult",
    "UnknownActivationError",
    "UsageError",
    "activations",
    "assert_agree",
    "atlas",
    "atlas_diff",
    "compare",
    "compare_arrays",
    "dump",
    "every_value",
    "explain",
    "identify",
    "losses",
    "normal",
    "perceptron",
    "perceptrons",
    "plot",
    "precision",
    "stratified",
    "sweep",
    "uniform",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    drawn = random.getstate()
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    random.setstate(drawn)  # rich draws a number when it is imported
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
