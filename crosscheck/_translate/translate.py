"""``translate``: look a call up in the dictionary, and judge it again if requested; ``translate_file``: those of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from crosscheck._dictionary.entries import entries
from crosscheck._dictionary.kept import kept
from crosscheck._dictionary.names import found
from crosscheck._dictionary.records import Translation
from crosscheck._records.errors import UsageError, own_failures
from crosscheck._translate.file_report import NONE, FileTranslation, TranslatedCall, counterpart, in_words
from crosscheck._translate.reading import CallInFile, calls
from crosscheck._translate.report import TranslationReport
from crosscheck._translate.uses import Uses, best, differences

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
    names: inputs at which both agree, inputs at which they do not, and calls that look alike and differ, such as those
    with their defaults.

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


@own_failures()
def translate_file(path: str | Path) -> FileTranslation:
    """Look up every call of PyTorch in a file of Python: what it is in JAX, and what differs for the written arguments.

    The file is read, not run, and no framework is needed. So what a name stands for is known only as far as the file says
    it: a call through a name that another file assigns is not seen.

    Args:
        path: The file.

    Returns:
        The report: the calls in order.

    Raises:
        UsageError: If the file cannot be read, or is no Python.

    Examples:
        >>> import pathlib, tempfile
        >>> import crosscheck
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "my_model.py")
        ...     _ = path.write_text("import torch\\n\\nlayer = torch.nn.LayerNorm(8, eps=1e-6)\\n")
        ...     report = crosscheck.translate_file(path)
        >>> report.calls[0].line, report.calls[0].name, report.calls[0].counterpart
        (3, 'torch.nn.LayerNorm', 'flax.nnx.LayerNorm, equinox.nn.LayerNorm')
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"path: got {type(path).__name__}, expected the path of a file of Python")
    try:
        text = Path(path).read_bytes()
        written = calls(text.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"path: {str(path)!r} cannot be read: {error.strerror or error}") from None
    except SyntaxError as error:
        raise UsageError(f"path: {str(path)!r} is no Python: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"path: {str(path)!r} is no Python: {error}") from None
    every, environment = kept()
    uses = Uses(every)
    translated = tuple(_looked_up(call, uses.of(call.name)) for call in written)
    return FileTranslation(str(path), translated, environment, _note(environment["packages"], _installed()))


def _looked_up(call: CallInFile, uses: Sequence[Translation]) -> TranslatedCall:
    if not uses:
        return TranslatedCall(call.line, call.code, call.name, NONE, None, ())
    different = tuple(dict.fromkeys(map(in_words, differences(call, uses))))
    entry = best(call, uses)
    return TranslatedCall(call.line, call.code, call.name, counterpart(entry, uses), entry, different)


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

    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _note(judged: Mapping[str, str | None], here: Mapping[str, str | None]) -> str:
    """The installed versions that differ from those of the verdicts."""
    other = [f"{name} {here[name]}" for name, version in judged.items() if here[name] and here[name] != version]
    if not other:
        return ""
    return f"Here {', '.join(other)} {'is' if len(other) == 1 else 'are'} installed: --run, or run=True, judges again."
