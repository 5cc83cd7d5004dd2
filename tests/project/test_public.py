"""The public names, and what importing crosscheck and its command brings in."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

import crosscheck

ROOT = Path(__file__).parents[2]
LOADED = "import sys; print(*sorted({'torch', 'jax', 'jaxlib', 'numpy', 'jinja2'} & set(sys.modules)))"


def python(code: str, env: Mapping[str, str] = os.environ) -> str:
    """What a fresh Python prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_public_names_are_listed() -> None:
    assert crosscheck.__all__ == sorted(crosscheck.__all__)
    assert set(dir(crosscheck)) >= {*crosscheck.__all__} > {"activations", "compare", "verify"}


def test_the_version_is_that_of_the_distribution() -> None:
    assert crosscheck.__version__ == version("torch-jax-crosscheck")


@pytest.mark.parametrize("name", crosscheck.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(crosscheck, name)
    if isinstance(value, type):
        assert value.__name__ == name
    else:
        assert value is getattr(crosscheck, name)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No crosscheck attribute verfy"):
        crosscheck.__getattr__("verfy")


def test_star_import_gives_the_public_names() -> None:
    names = "from crosscheck import *; print(*sorted(name for name in dir() if not name.startswith('__')))"
    assert python(names).split() == crosscheck.__all__


def test_importing_crosscheck_imports_neither_framework_nor_numpy() -> None:
    assert python(f"import crosscheck; {LOADED}").split() == []


def test_reading_the_catalogue_imports_no_framework() -> None:
    code = f"import crosscheck; [(a.torch, a.jax) for a in crosscheck.activations.values()]; {LOADED}"
    assert not {"torch", "jax", "jaxlib", "jinja2"} & set(python(code).split())


def test_the_check_sees_what_was_imported() -> None:
    assert python(f"import crosscheck, numpy; {LOADED}").split() == ["numpy"]


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["verify", "--help"]], ids=" ".join)
def test_the_command_imports_no_framework_to_say_what_there_is(arguments: list[str]) -> None:
    """As ``python -m crosscheck`` runs it; the last line printed is what was loaded."""
    code = (
        "import atexit, runpy, sys\n"
        f"atexit.register(lambda: exec({LOADED!r}))\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "runpy.run_module('crosscheck', run_name='__main__')"
    )
    *said, loaded = python(code).splitlines()
    assert any("sigmoid" in line or "Usage:" in line for line in said)
    assert not {"torch", "jax", "jaxlib", "jinja2"} & set(loaded.split())


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("broken", ["ModuleNotFoundError('no such module')", "OSError('libc10.so is missing')"])
def test_a_missing_framework_says_which_extra_brings_it(name: str, broken: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(f"raise {broken}\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = f"""
import crosscheck
relu = crosscheck.activations.relu
for attempt in (lambda: relu.{name}(1.0), lambda: relu.{name}.native, lambda: crosscheck.compare_models(None, None, None)):
    try:
        attempt()
    except crosscheck.MissingFrameworkError as error:
        print(error)
"""
    said = python(code, {**os.environ, "PYTHONPATH": path}).splitlines()
    assert len(said) == 3
    for line in said:
        assert line.startswith(f"{name} cannot be imported ({broken.partition('(')[0]}: ")
        assert line.endswith(f"Install it with: python -m pip install '.[{name}]' in a clone of crosscheck's repository")


def test_what_is_missing_is_installed_from_where_crosscheck_came_from(tmp_path: Path) -> None:
    """No package index has it. So the message names the repository that pip installed from, or a clone."""
    folder = tmp_path / "torch_jax_crosscheck-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-jax-crosscheck\nVersion: 0.1.0\n")
    (tmp_path / "torch.py").write_text("raise ImportError('not here')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    code = "import crosscheck\ntry: crosscheck.activations.relu.torch(1.0)\nexcept ImportError as e: print(e)"
    address = "https://example.org/crosscheck"
    for vcs, said in (
        ({"vcs": "git"}, f"'torch-jax-crosscheck[torch] @ git+{address}'"),
        (None, "'.[torch]' in a clone of"),
    ):
        written = {"url": address, **({"vcs_info": vcs} if vcs else {"dir_info": {}})}
        (folder / "direct_url.json").write_text(json.dumps(written))
        assert f"Install it with: python -m pip install {said}" in python(code, environment)
