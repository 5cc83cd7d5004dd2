"""The command line. Exit 0: all agreed. 1: an undeclared disagreement. 2: wrong usage, or nothing was compared."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from crosscheck._ending import Commands, refuse, stop
from crosscheck._spec.records import DTYPES, MODES, SUBJECTS, USUAL_MODES, SpecError

if TYPE_CHECKING:
    from crosscheck._report.arrays import ArraysReport
    from crosscheck._report.report import Report

FEW_ACTIVATIONS = 2
"""For so many, another process would take longer to start than it saves."""
MOST_PROCESSES = 4
"""Each takes some 700 MB."""
SUFFIXES = (".png", ".svg", ".pdf")


@contextmanager
def _one_message() -> Iterator[None]:
    """Turn the errors that a user can mend into one line on standard error and exit code 2."""
    from crosscheck._backends.base import NoDeviceError
    from crosscheck._catalogue import UnknownActivationError
    from crosscheck._spec.interface import MissingFrameworkError

    try:
        yield
    except (UnknownActivationError, MissingFrameworkError, NoDeviceError, SpecError, ValueError) as error:
        refuse(str(error))


def _check_writable(path: str | None, option: str = "--json") -> None:
    """Refuse a file that cannot be written, before minutes are spent on what it would hold."""
    if path is None:
        return
    try:
        folder = Path(path).absolute().parent
        if not folder.is_dir():
            refuse(f"{option}: the folder {folder} does not exist; make it first")
        if Path(path).is_dir():
            refuse(f"{option}: {path} is a folder; give the name of a file")
    except OSError as error:
        refuse(f"{option}: {path} cannot be written: {error.strerror or error}")
    written = folder if not Path(path).exists() or Path(path).is_file() else Path(path)
    if not os.access(written, os.W_OK):
        refuse(f"{option}: {'the folder ' * (written == folder)}{written} is not writable")


def _check_figure(path: str, option: str) -> None:
    """Refuse a figure of another format, or one that cannot be written."""
    suffix = Path(path).suffix
    if suffix.lower() not in SUFFIXES:
        refuse(f"{option}: got {path!r} with the suffix {suffix!r}, expected one of {', '.join(SUFFIXES)}")
    _check_writable(path, option)


def _save(path: str | None, write: Callable[[str], None], option: str = "--json") -> None:
    if path is not None:
        try:
            write(path)
        except OSError as error:
            refuse(f"{option}: {path} could not be written: {error.strerror or error}")


def _check_all_writable(json_path: str | None, html_path: str | None, markdown_path: str | None) -> None:
    named = {"--json": json_path, "--html": html_path, "--markdown": markdown_path}
    for option, path in named.items():
        _check_writable(path, option)
    _check_different(named)


def _check_different(named: Mapping[str, str | None]) -> None:
    """Refuse one file for two options, of which the later would replace what the earlier wrote."""
    seen: dict[str, str] = {}
    for option, path in named.items():
        if path is not None and (first := seen.setdefault(os.path.realpath(path), option)) != option:
            refuse(f"{first}, {option}: got the same file {path}; give each its own")


def _save_all(
    report: Report | ArraysReport, json_path: str | None, html_path: str | None, markdown_path: str | None
) -> None:
    _save(json_path, report.to_json)
    _save(html_path, report.to_html, "--html")
    _save(markdown_path, report.to_markdown, "--markdown")


def _written(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command whose report can be read elsewhere."""
    markdown = click.option("--markdown", "markdown_path", metavar="PATH", help="Write the report as Markdown.")
    page = click.option("--html", "html_path", metavar="PATH", help="Write the report as one HTML file, with figures.")
    return page(markdown(command))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torch-jax-crosscheck", prog_name="crosscheck")
def main() -> None:
    """The referee between PyTorch and JAX: do they agree, by how many ULP not, which side is wrong, and why?"""


@main.command("list")
@click.option("--file", "files", multiple=True, metavar="PATH", help="Add the activations of a Python file.")
@click.option("--json", "json_path", metavar="PATH", help="Write the list as JSON.")
def list_(files: tuple[str, ...], json_path: str | None) -> None:
    """List the activations, their parameters and what each framework ships."""
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.json_file import plain, write_json

    _check_writable(json_path)
    with _one_message():
        records = list(Catalogue(files).values())
    rows = []
    for record in records:
        shipped = [native.path for native in record.natives.values()]
        name = ", ".join((record.name, *record.aliases))
        parameters = ", ".join(f"{key}={value:g}" for key, value in record.parameters.items())
        rows.append((name, parameters, " ".join(shipped)))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for name, parameters, shipped_names in rows:
        _echo(f"{name:{widths[0]}}  {parameters:{widths[1]}}  {shipped_names}".rstrip())
    data = [
        {
            "name": record.name,
            "aliases": record.aliases,
            "parameters": dict(record.parameters),
            "natives": {side: native.path for side, native in record.natives.items()},
            "deviations": [deviation.id for deviation in record.deviations],
        }
        for record in records
    ]
    _save(json_path, lambda path: write_json(path, {"schema": "crosscheck.list/1", "activations": plain(data)}))


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dtype", "dtypes", multiple=True, metavar="DTYPE", help=f"{', '.join(DTYPES)}; all unless given.")
@click.option("--order", "orders", multiple=True, metavar="ORDER", help="0 value, 1 gradient, 2 second derivative.")
@click.option("--subject", "subjects", multiple=True, metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}.")
@click.option(
    "--mode",
    "modes",
    multiple=True,
    metavar="MODE",
    help=f"{', '.join(MODES)}, or all; {' and '.join(USUAL_MODES)} unless given.",
)
@click.option("--layout", is_flag=True, help="Ask too if a result depends on the position, length or stride of its input.")
@click.option("--device", default="cpu", metavar="DEVICE", show_default=True, help="cpu or gpu.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampled inputs.")
@click.option("--quick", is_flag=True, help="Fewer inputs; float32, JAX under jit, unless --dtype and --mode say so.")
@click.option("--thorough", is_flag=True, help="Rows of every length, not of two; it takes longer.")
@click.option("--accuracy", is_flag=True, help="Print the own implementations' largest errors by dtype and mode too.")
@click.option("--without", multiple=True, metavar="ID", help="Treat this declared deviation as not declared.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="Verify the activations of a Python file.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help=f"Among how many processes the activations are shared; one per core, at most {MOST_PROCESSES}, unless given.",
)
@click.option("--json", "json_path", metavar="PATH", help="Write the report as JSON.")
@_written
def verify(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    orders: tuple[str, ...],
    subjects: tuple[str, ...],
    modes: tuple[str, ...],
    layout: bool,
    device: str,
    seed: int,
    quick: bool,
    thorough: bool,
    accuracy: bool,
    without: tuple[str, ...],
    files: tuple[str, ...],
    processes: int | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Judge activations against the proven truth; without NAME, all of them.

    Options that take several values are repeated: --dtype float32 --dtype bfloat16.
    """
    from crosscheck import _api
    from crosscheck._catalogue import Catalogue

    _check_all_writable(json_path, html_path, markdown_path)
    options: dict[str, Any] = {"device": device, "seed": seed, "quick": quick, "thorough": thorough, "without": without}
    options["layout"] = layout
    modes = MODES if "all" in modes else modes
    given = {"dtypes": dtypes, "orders": orders, "subjects": subjects, "modes": modes}
    options |= {name: values for name, values in given.items() if values}
    with _one_message():
        if orders:
            options["orders"] = [int(order) if order.isdecimal() else order for order in orders]
        chosen = Catalogue(files).asked_for(names)
        with _progress(len(chosen)) as progress:
            alone = device != "cpu"  # the processes would share a GPU's memory
            options["processes"] = processes or (1 if alone else _shared_among(len(chosen)))
            report = _api.verify(chosen, progress=progress, **options)
    from crosscheck._report import text

    _print(text.layout(report))
    if accuracy:
        _print(text.accuracy(report))
    _save_all(report, json_path, html_path, markdown_path)
    if not report.compared:
        sys.exit(2)
    sys.exit(0 if report.passed else 1)


def _print(renderable: Any) -> None:
    """In colour and as wide as a terminal; plain and of one width in a pipe."""
    from crosscheck._report.terminal import print_rich

    print_rich(renderable)


def _echo(text: str) -> None:
    """Text that may hold anything, such as names out of a file."""
    from crosscheck._report.shown import shown

    click.echo(shown(text))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str, str], None] | None]:
    """A progress bar on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)
        done: list[str] = []

        def advance(name: str, dtype: str) -> None:
            if name not in done:
                done.append(name)
            bar.update(task, completed=len(done) - 1, description=f"{name} {dtype}")

        yield advance


@main.command()
@click.argument("name")
@click.option("--file", "files", multiple=True, metavar="PATH", help="Add the activations of a Python file.")
@click.option("--json", "json_path", metavar="PATH", help="Write the explanation as JSON.")
def explain(name: str, files: tuple[str, ...], json_path: str | None) -> None:
    """Explain an activation: what it means, where the frameworks disagree about it, why, and how to reproduce it.

    It is verified first, which takes seconds. Exit 0: every disagreement is declared. 1: one is not.
    """
    from crosscheck import _api
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.json_file import write_json

    _check_writable(json_path)
    with _one_message():
        activation = Catalogue(files)[name]
        with _progress(1) as progress:
            explanation = _api.explanation(activation, progress=progress)
    _echo(str(explanation))
    _save(json_path, lambda path: write_json(path, explanation.data()))
    if not explanation.report.compared:
        sys.exit(2)
    sys.exit(0 if explanation.passed else 1)


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dtype", "dtypes", multiple=True, metavar="DTYPE", help=f"{', '.join(DTYPES)}; all unless given.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sampled inputs.")
@click.option("--mode", "modes", multiple=True, metavar="MODE", help=f"{', '.join(MODES)}; all unless given.")
@click.option("--layout/--no-layout", default=None, help="Whether to compare results in several layouts; so unless --quick.")
@click.option("--quick", is_flag=True, help="Fewer inputs, eager and jit; float32 unless --dtype says otherwise.")
@click.option("--usual", is_flag=True, help="Measure which of the usual checks notice each disagreement; it takes longer.")
@click.option("--diff", "old", metavar="OLD.json", help="Say what changed since OLD, against NEW.json or here and now.")
@click.option("--without", multiple=True, metavar="ID", help="Treat this declared deviation as not declared.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="Add the activations of a Python file.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help=f"Among how many processes the activations are shared; one per core, at most {MOST_PROCESSES}, unless given.",
)
@click.option("--json", "json_path", metavar="PATH", help="Write the table, or with --diff the changes, as JSON.")
@click.option("--markdown", "markdown_path", metavar="PATH", help="Write the table, or the changes, as Markdown.")
def atlas(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    modes: tuple[str, ...],
    layout: bool | None,
    seed: int,
    quick: bool,
    usual: bool,
    old: str | None,
    without: tuple[str, ...],
    files: tuple[str, ...],
    processes: int | None,
    json_path: str | None,
    markdown_path: str | None,
) -> None:
    """List every disagreement of the frameworks: who, where, what, why; without NAME, about all activations.

    Everything is verified first, which takes minutes. Exit 0: every disagreement is declared. 1: one is not, or is not as
    it is declared.

    With --diff: crosscheck atlas --diff OLD.json [NEW.json], where the files are those that --json wrote; without NEW.json
    an atlas of what OLD covers is made here and now. Exit 0: nothing changed. 1: something did.
    """
    _check_writable(json_path)
    _check_writable(markdown_path, "--markdown")
    _check_different({"--json": json_path, "--markdown": markdown_path})
    if old is not None:
        run = (dtypes, modes, layout is not None, seed, quick, usual, without, files, len(names) > 1)
        if any(run):
            refuse(
                "--diff: got names or options of a run, expected --diff OLD.json [NEW.json]; a run for it takes those of OLD"
            )
        _atlas_diff(old, names[0] if names else None, processes, json_path, markdown_path)
    from crosscheck import _atlases
    from crosscheck._catalogue import Catalogue
    from crosscheck._report import atlas as text

    options: dict[str, Any] = {"layout": layout, "seed": seed, "quick": quick, "usual": usual, "without": without}
    options["modes"] = MODES if "all" in modes else modes or None
    if dtypes:
        options["dtypes"] = dtypes
    with _one_message():
        chosen = Catalogue(files).asked_for(names)
        with _progress(len(chosen)) as progress:
            made = _atlases.atlas(chosen, progress=progress, processes=processes or _shared_among(len(chosen)), **options)
    _print(text.layout(made))
    _save(json_path, made.to_json)
    _save(markdown_path, made.to_markdown, "--markdown")
    if not made.compared:
        sys.exit(2)
    sys.exit(0 if made.passed else 1)


def _atlas_diff(
    old: str, new: str | None, processes: int | None, json_path: str | None, markdown_path: str | None
) -> NoReturn:
    from crosscheck import _atlases
    from crosscheck._report import atlas_diff as text
    from crosscheck._report.atlas_file import read

    with _one_message():
        before = read(old, "--diff")
        after = None if new is None else read(new, "NEW.json")
        total = len(before.coverage.functions)
        with _progress(total) as progress:
            found = _atlases.atlas_diff(before, after, progress=progress, processes=processes or _shared_among(total))
    _print(text.layout(found))
    _save(json_path, found.to_json)
    _save(markdown_path, found.to_markdown, "--markdown")
    sys.exit(1 if found.changed else 0)


def _shared_among(activations: int) -> int:
    """Among how many processes activations are shared."""
    return 1 if activations <= FEW_ACTIVATIONS else min(os.cpu_count() or 1, MOST_PROCESSES)


@main.command()
@click.argument("name")
@click.option("--output", metavar="PATH", help="The file to write: .png, .svg or .pdf. NAME.png unless given.")
@click.option("--dtype", default="float32", metavar="DTYPE", show_default=True, help=f"{', '.join(DTYPES)}.")
@click.option("--low", default=-10.0, metavar="X", show_default=True, help="The least input.")
@click.option("--high", default=10.0, metavar="X", show_default=True, help="The greatest input.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="Add the activations of a Python file.")
def plot(name: str, output: str | None, dtype: str, low: float, high: float, files: tuple[str, ...]) -> None:
    """Draw an activation and its gradient in both frameworks, and the error of each in ULP; print the file's path."""
    from crosscheck import _api
    from crosscheck._catalogue import Catalogue

    with _one_message():
        activation = Catalogue(files)[name]
        path = f"{activation.name}.png" if output is None else output
        _check_figure(path, "--output")
        figure = _api.plot(activation, dtype=dtype, low=low, high=high)
    from crosscheck._report.plots import save

    _save(path, lambda path: save(figure, path), "--output")
    _echo(path)


@main.command()
@click.argument("torch_fn", metavar="MODULE:FN")
@click.argument("jax_fn", metavar="MODULE:FN")
@click.option("--range", "ends", nargs=2, metavar="LOW HIGH", help="Numbers uniform in [LOW, HIGH) as inputs.")
@click.option("--shape", "shapes", multiple=True, metavar="N,M,...", help="The shape of an input; once for each input.")
@click.option("--dtype", default="float32", metavar="DTYPE", show_default=True, help=f"{', '.join(DTYPES)}.")
@click.option(
    "--order", default="1", metavar="ORDER", show_default=True, help="0 values, 1 gradients too, 2 second ones too."
)
@click.option("--exact", metavar="NAME", help="The activation of the catalogue that both are meant to be: a proven truth.")
@click.option("--accept", multiple=True, metavar="ID", help="A deviation's id, or CAUSE or CAUSE:LOW:HIGH, that passes.")
@click.option("--mode", "modes", multiple=True, metavar="MODE", help=f"{', '.join(USUAL_MODES)}; both unless given.")
@click.option("--device", default="cpu", metavar="DEVICE", show_default=True, help="cpu or gpu.")
@click.option("--seed", default=0, show_default=True, help="Seed of inputs, vectors and noise.")
@click.option("--json", "json_path", metavar="PATH", help="Write the report as JSON.")
@_written
def compare(
    torch_fn: str,
    jax_fn: str,
    ends: tuple[str, str] | None,
    shapes: tuple[str, ...],
    dtype: str,
    order: str,
    exact: str | None,
    accept: tuple[str, ...],
    modes: tuple[str, ...],
    device: str,
    seed: int,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare a function of torch with one of JAX: torch.nn.functional:gelu jax.nn:gelu.

    A module is looked for in the working folder too. Inputs are normal numbers of the shapes given, uniform ones in the
    range given, and the stratified set where neither is. Exit 0: they agree. 1: they do not. 2: nothing could be compared.
    """
    from crosscheck import _functions
    from crosscheck._command import acceptable, described, loaded

    _check_all_writable(json_path, html_path, markdown_path)
    options: dict[str, Any] = {"dtype": dtype, "exact": exact, "device": device, "seed": seed}
    if modes:
        options["modes"] = modes
    with _one_message():
        options["order"] = int(order) if order.isdecimal() else order
        options["accept"] = [acceptable(one) for one in accept]
        inputs = described(ends, shapes)
        functions = loaded("the torch function", torch_fn), loaded("the JAX function", jax_fn)
        report = _functions.compare(*functions, inputs, **options)
    _echo(str(report))
    _save_all(report, json_path, html_path, markdown_path)
    sys.exit(0 if report.passed else 1)


@main.command()
@click.argument("a")
@click.argument("b")
@click.option("--truth", metavar="PATH", help="A file of the same names in float64, for the side at fault.")
@click.option("--ulp", type=float, metavar="N", help="Allow N ULP of the larger element; 4 unless anything is given.")
@click.option("--rtol", type=float, metavar="R", help="Allow a difference of R times the element of B.")
@click.option("--atol", type=float, metavar="D", help="Allow a difference of D, added to that of --rtol.")
@click.option("--json", "json_path", metavar="PATH", help="Write the report as JSON.")
@_written
def diff(
    a: str,
    b: str,
    truth: str | None,
    ulp: float | None,
    rtol: float | None,
    atol: float | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare two files of arrays, name by name: .npy, .npz or .safetensors.

    crosscheck.dump writes such files where only one of the frameworks is. Exit 0: all elements are within the limits.
    1: some are not, or a name is on one side only. 2: nothing could be compared.
    """
    from crosscheck._saved import compare_files

    _check_all_writable(json_path, html_path, markdown_path)
    with _one_message():
        report = compare_files(a, b, truth, ulp=ulp, rtol=rtol, atol=atol)
    _echo(str(report))
    _save_all(report, json_path, html_path, markdown_path)
    if not report.compared:
        sys.exit(2)
    sys.exit(0 if report.passed else 1)


@main.command()
@click.option(
    "--gate", metavar="GATE", help="A gate of two inputs, or points: ten random ones. Points, then or, unless given."
)
@click.option("--epochs", default=1000, show_default=True, help="Steps over the whole data.")
@click.option("--learning-rate", default=0.1, show_default=True, help="The step size of SGD.")
@click.option("--seed", default=0, show_default=True, help="Seed of the start, and of the random points.")
@click.option("--dtype", default="float32", metavar="DTYPE", show_default=True, help="float32 or float64.")
@click.option("--seeds", type=int, metavar="N", help="Train from N starts, vectorised; every gate unless --gate says which.")
@click.option("--losses", is_flag=True, help="Judge the losses at extreme logits and probabilities instead.")
@click.option("--plant", multiple=True, metavar="[SIDE:]FAULT", help="Self-test: plant a fault in jax, or in torch:FAULT.")
@click.option("--json", "json_path", metavar="PATH", help="Write the report as JSON, with the loss of every epoch.")
@click.option("--plot", "plot_path", metavar="PATH", help="Draw losses, difference and boundary: .png, .svg or .pdf.")
def perceptron(
    gate: str | None,
    epochs: int,
    learning_rate: float,
    seed: int,
    dtype: str,
    seeds: int | None,
    losses: bool,
    plant: tuple[str, ...],
    json_path: str | None,
    plot_path: str | None,
) -> None:
    """Train a perceptron in both frameworks from the same start, and say where and why the trainings part.

    Exit 0: the frameworks agree, learned or not. 1: they do not; the fault, its epoch and its tensor are named.
    """
    _check_writable(json_path)
    if plot_path is not None:
        _check_figure(plot_path, "--plot")
    _check_different({"--json": json_path, "--plot": plot_path})
    if sum((seeds is not None, losses, bool(plant or plot_path))) > 1:
        refuse(
            "got two of --seeds, --losses and --plant or --plot, expected one; only a single training is planted or drawn"
        )
    from crosscheck import _trainings
    from crosscheck._report import perceptron as text
    from crosscheck._report.json_file import write_json
    from crosscheck._report.perceptrons import losses_layout, many_layout

    options: dict[str, Any] = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed, "dtype": dtype}
    with _one_message():
        if losses:
            judged = _trainings.losses()
            passed, shown, data = judged.passed, losses_layout(judged), judged.data()
        elif seeds is not None:
            with _epochs_done(3 * epochs) as progress:
                many = _trainings.perceptrons(gate, seeds=seeds, progress=progress, **options)
            passed, shown, data = many.passed, many_layout(many), many.data()
        else:
            options["plant"] = dict(map(_side_and_fault, plant))
            tasks = ["points", "or"] if gate is None else [gate]
            with _epochs_done(_trainings.trainings(len(options["plant"])) * len(tasks) * epochs) as progress:
                *others, report = [_trainings.perceptron(task, progress=progress, **options) for task in tasks]
            passed = all(one.passed for one in (*others, report))
            shown = text.stacked([*others, report])
            data = report.data() | {other.gate: other.training() for other in others}
    _print(shown)
    _save(json_path, lambda path: write_json(path, data))
    if plot_path is not None:
        from crosscheck._report.plots import save

        _save(plot_path, lambda path: save(report.plot(), path), "--plot")
        _echo(plot_path)
    sys.exit(0 if passed else 1)


def _side_and_fault(given: str) -> tuple[str, str]:
    side, _, fault = given.rpartition(":")
    return side or "jax", fault


@contextmanager
def _epochs_done(total: int) -> Iterator[Callable[[str, int], None] | None]:
    """A progress bar of epochs on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=total)
        yield lambda name, epochs: bar.update(task, advance=epochs, description=f"training in {name}")


@main.command()
@click.argument("name", required=False)
@click.option("--dtype", default="float32", metavar="DTYPE", show_default=True, help="float32, bfloat16 or float16.")
@click.option("--order", "orders", multiple=True, metavar="ORDER", help="0 value, 1 gradient; 16-bit: 2 second derivative.")
@click.option("--subject", "subjects", multiple=True, metavar="SUBJECT", help=f"{', '.join(SUBJECTS[:-1])}.")
@click.option("--range", "ends", nargs=2, metavar="LOW HIGH", help="The first and last input, or their bits: 0x3f800000.")
@click.option("--device", default="cpu", metavar="DEVICE", show_default=True, help="Where the frameworks run: cpu or gpu.")
@click.option("--out", metavar="FOLDER", help="Keep a journal of what is done there, to go on with.")
@click.option("--resume", is_flag=True, help="Go on with the journal in --out.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help=f"Among how many processes it is shared; one per core, at most {MOST_PROCESSES}, unless given.",
)
@click.option("--file", "files", multiple=True, metavar="PATH", help="Add the activations of a Python file.")
@click.option("--json", "json_path", metavar="PATH", help="Write the results as JSON.")
@click.option("--plot", "plot_path", metavar="PATH", help="Draw the errors: .png, .svg or .pdf.")
@click.option("--table", metavar="FOLDER", help="Without NAME: print the results that --json wrote there as one table.")
def sweep(
    name: str | None,
    dtype: str,
    orders: tuple[str, ...],
    subjects: tuple[str, ...],
    ends: tuple[str, str] | None,
    device: str,
    out: str | None,
    resume: bool,
    jobs: int | None,
    files: tuple[str, ...],
    json_path: str | None,
    plot_path: str | None,
    table: str | None,
) -> None:
    """Judge an activation at every input there is, value and gradient: 4,294,967,296 of float32, which takes minutes.

    Exit 0: crosscheck's own implementations keep the budget. 1: one does not. 130: stopped by Ctrl-C.
    """
    from crosscheck import _sweeps
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.sweep import layout, read_sweeps, table_layout

    if (name is None) == (table is None):
        refuse("NAME, --table: give the name of an activation, or a folder of results, and not both")
    if table is not None:
        if any((orders, subjects, ends, out, resume, jobs, files, json_path, plot_path)):
            refuse("--table: got options of a run too, expected --table FOLDER alone; it prints what runs wrote")
        with _one_message():
            _print(table_layout(read_sweeps(table)))
        return
    assert name is not None
    _check_writable(json_path)
    if plot_path is not None:
        _check_figure(plot_path, "--plot")
    _check_different({"--json": json_path, "--plot": plot_path})
    options: dict[str, Any] = {"dtype": dtype, "device": device, "out": out, "resume": resume, "range": ends}
    options |= {key: values for key, values in (("subjects", subjects),) if values}
    with _one_message(), _inputs_done() as progress:
        if orders:
            options["orders"] = [int(order) if order.isdecimal() else order for order in orders]
        alone = bool(files) or device != "cpu"
        options["jobs"] = jobs or (1 if alone else min(os.cpu_count() or 1, MOST_PROCESSES))
        try:
            report = _sweeps.sweep(Catalogue(files)[name], progress=progress, **options)
        except KeyboardInterrupt:
            kept = "go on with the same command and --resume" if out else "nothing is kept; --out FOLDER keeps what is done"
            stop(kept)
    _print(layout(report))
    _save(json_path, report.to_json)
    if plot_path is not None:
        from crosscheck._report.plots import save

        _save(plot_path, lambda path: save(report.plot(), path), "--plot")
        _echo(plot_path)
    sys.exit(0 if report.passed else 1)


@contextmanager
def _inputs_done() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar of inputs on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sweeping", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@main.command()
@click.option("--device", default="cpu", metavar="DEVICE", show_default=True, help="cpu or gpu.")
@click.option("--json", "json_path", metavar="PATH", help="Write the environment as JSON.")
def env(device: str, json_path: str | None) -> None:
    """Print versions, devices and settings on which results depend: what each changes, how to set both frameworks alike."""
    from crosscheck import _api
    from crosscheck._backends.settings import settings
    from crosscheck._report.json_file import plain, write_json

    _check_writable(json_path)
    if device not in ("cpu", "gpu"):
        refuse(f"unknown device {device!r}; known: cpu, gpu")
    with _one_message():
        described = _api.environment(device)
    _print_nested(described)
    found = settings()
    for setting in found:
        values = ", ".join(f"{side} {value}" for side, value in (("torch", setting.torch), ("jax", setting.jax)) if value)
        click.echo(f"\n{setting.name}: {values or 'no framework is installed'}")
        click.echo(f"  changes    {setting.changes}")
        click.echo(f"  set alike  {setting.alike}")
    data = {
        "schema": "crosscheck.env/1",
        "environment": plain(described),
        "settings": [plain(asdict(setting)) for setting in found],
    }
    _save(json_path, lambda path: write_json(path, data))


def _print_nested(data: dict[str, Any], indent: int = 0) -> None:
    for key, value in data.items():
        if isinstance(value, dict):
            click.echo(f"{' ' * indent}{key}:")
            _print_nested(value, indent + 2)
        else:
            click.echo(f"{' ' * indent}{key}: {value}")


if __name__ == "__main__":
    main()
