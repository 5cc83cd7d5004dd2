"""How examples are generated."""

from hypothesis import HealthCheck, Phase, settings


def the_same_each_time(examples: int) -> settings:
    """So many examples, the same in every run; what breaks a rule is kept as it is, not made smaller."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
