"""sigmoid's lost tail as a deviation that is declared as a test wishes, and what the run then says of it."""

import dataclasses
from typing import Any

from facts import kind_of

import crosscheck
from crosscheck import Activation, Deviation, Region, Report, Seen

ANYWHERE = (Seen(torch=">=0", jax=">=0", capabilities=("AVX2", "AVX512", "AVX512_FP16")),)
"""A test of how strict a declaration is holds in every environment."""


def deviation_of(name: str, id_: str) -> Deviation:
    """The declared deviation of an activation that is called so."""
    (deviation,) = (deviation for deviation in crosscheck.activations[name].deviations if deviation.id == id_)
    return deviation


SIGMOID = crosscheck.activations["sigmoid"]
LOST_TAIL = deviation_of("sigmoid", "sigmoid-derivative-lost-tail")
FLOAT32 = dataclasses.replace(
    next(region for region in LOST_TAIL.regions if (region.order, region.dtypes) == (1, ("float32",))), seen=()
)


def gradient_of(activation: Activation, **options: Any) -> Report:
    return crosscheck.verify(
        activation, dtypes=["float32"], orders=[1], implementations=["torch.native", "jax.native"], **options
    )


def declared(*regions: Region, **changes: Any) -> Activation:
    """sigmoid with the lost tail alone, in float32, declared as given."""
    deviation = dataclasses.replace(LOST_TAIL, regions=regions, **{"seen": ANYWHERE, **changes})
    return dataclasses.replace(SIGMOID, deviations=(deviation, deviation_of("sigmoid", "sigmoid-exp-overflow")))


def failures(report: Report) -> set[str]:
    """The kinds of the findings that fail a run."""
    return {kind_of(finding.message) for finding in report.findings if finding.failed}
