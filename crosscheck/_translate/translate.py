"""``translate``: look a call up in the dictionary, and judge it again if requested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from crosscheck._dictionary.entries import entries
from crosscheck._dictionary.kept import kept
from crosscheck._dictionary.names import found
from crosscheck._dictionary.records import Translation
from crosscheck._records.errors import UsageError, own_failures
from crosscheck._translate.report import TranslationReport

PACKAGES = ("torch", "jax", "optax", "flax", "equinox")


@own_failures()
def translate(
    name: str | None = None,
    *,
    run: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> TranslationReport:
    """Look up what a call of PyTorch is in JAX, optax, flax and equinox; or what a call of these is in PyTorch.

    The dictionary holds code for both sides. It has been run and compared, as ``compare`` does, at the inputs that the entry
    names: inputs at which both agree, inputs at which they do not, and calls whose defaults differ.

    Args:
        name: A name of PyTorch or of a library of JAX, in full or only its last part: ``torch.nn.LayerNorm``,
            ``layer_norm``, ``optax.l2_loss``. None for the whole dictionary.
        run: Whether to judge again, with the installed versions. Otherwise the verdicts are those in the package, and no
            framework is needed.
        progress: With ``run``, called after each entry, with the number of entries judged and the number of all.

    Returns:
        The report.

    Raises:
        UsageError: If the dictionary has no such name; the message lists similar names.
        MissingFrameworkError: With ``run``, if PyTorch or JAX cannot be imported.

    Examples:
        >>> import crosscheck
        >>> report = crosscheck.translate("torch.nn.HuberLoss")
        >>> print(report.headline)
        torch.nn.functional.huber_loss: the same, the defaults differ.
    """
    if name is not None and not isinstance(name, str):
        raise UsageError(f"name: got {type(name).__name__}, expected a text, such as 'torch.nn.LayerNorm'")
    packages = _installed()
    every, environment = (entries(), {}) if run else kept()
    chosen = every if name is None else found(name, every)
    if run:
        chosen = tuple(_judged(chosen, progress))
        environment = {"packages": packages, "cpu": _capability()}
    return TranslationReport(name or "", chosen, environment, _note(environment["packages"], packages))


def _judged(chosen: Sequence[Translation], progress: Callable[[int, int], object] | None) -> Iterator[Translation]:
    from crosscheck._records.interface import framework
    from crosscheck._translate.judge import judged

    for needed in ("jax", "torch"):
        framework(needed)
    for number, entry in enumerate(chosen, 1):
        yield judged(entry)
        if progress is not None:
            progress(number, len(chosen))


def _capability() -> str | None:
    from crosscheck._frameworks.environment import environment
    from crosscheck._verdict.environments import Environment

    return Environment.of(environment()).capability


def _installed() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _note(judged: Mapping[str, str | None], here: Mapping[str, str | None]) -> str:
    """The installed versions that differ from those of the verdicts."""
    other = [f"{name} {here[name]}" for name, version in judged.items() if here[name] and here[name] != version]
    if not other:
        return ""
    return f"Here {', '.join(other)} {'is' if len(other) == 1 else 'are'} installed: --run, or run=True, judges again."
