"""The settings of both frameworks: reported as they are, set alike for a while, restored whatever happens."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import cli
import jax
import jax.numpy as jnp
import pytest
import torch

import crosscheck
from crosscheck import UsageError


def now() -> dict[str, SimpleNamespace]:
    """As ``crosscheck env`` reports them."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "env.json")
        assert cli.run("env", "--json", str(path)).exit_code == 0
        data = json.loads(path.read_text(encoding="utf-8"))
    return {setting["name"]: SimpleNamespace(**setting) for setting in data["settings"]}


def test_the_defaults_are_reported() -> None:
    settings = now()
    assert (settings["float64"].torch, settings["float64"].jax) == ("on", "off")
    assert (settings["default dtype"].torch, settings["default dtype"].jax) == ("float32", "float32")
    assert settings["float32 matmul precision"].torch == "highest"
    assert settings["threads"].torch == str(torch.get_num_threads())
    assert all(setting.changes and setting.alike for setting in settings.values())


@pytest.mark.parametrize(
    ("options", "name", "torch_value", "jax_value"),
    [
        ({"matmul": "high"}, "float32 matmul precision", "high", "tensorfloat32"),
        ({"matmul": "medium"}, "float32 matmul precision", "medium", "bfloat16"),
        ({"matmul": "highest"}, "TF32 in cuDNN", "off", None),
        ({"x64": True}, "default dtype", "float64", "float64"),
        ({"x64": True}, "float64", "on", "on"),
        ({"deterministic": True}, "deterministic algorithms", "on", None),
    ],
)
def test_both_are_set_alike_and_restored(options: Any, name: str, torch_value: str, jax_value: str | None) -> None:
    before = now()
    with crosscheck.precision(**options):
        setting = now()[name]
        assert (setting.torch, setting.jax) == (torch_value, jax_value)
    assert now() == before


def test_an_exception_restores_them_too() -> None:
    before = now()
    with pytest.raises(KeyError), crosscheck.precision("medium", x64=True, deterministic=True, flush_denormal=True):
        raise KeyError
    assert now() == before
    assert torch.full((1,), 2.0**-126).mul(0.5).item() > 0


def test_torch_s_tools_for_tests_do_not_forbid_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they are imported, a flag of a backend cannot be set by its name."""
    flags = torch.backends.disable_global_flags.__globals__  # of the module itself, which torch hides behind another
    monkeypatch.setitem(flags, "__allow_nonbracketed_mutation_flag", True)
    torch.backends.disable_global_flags()
    with pytest.raises(RuntimeError, match="not allowed to set"):
        torch.backends.cudnn.allow_tf32 = False
    before = now()
    with crosscheck.precision("high"):
        assert now()["TF32 in cuDNN"].torch == "on"
    assert now() == before


def test_torch_flushes_as_xla_does() -> None:
    with crosscheck.precision(flush_denormal=True):
        torch_result = torch.full((1,), 2.0**-126) * 0.5
        assert torch_result.item() == float((jnp.full((1,), 2.0**-126) * 0.5)[0]) == 0


def test_what_is_not_named_stays() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with crosscheck.precision(None, x64=True):
            assert torch.get_float32_matmul_precision() == "high"
            assert jnp.ones(1).dtype == jnp.float64
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matmul": "low"}, "matmul: got 'low', expected highest, high, medium or None"),
        ({"x64": 1}, "x64: got 1, expected True, False or None"),
    ],
)
def test_other_values_are_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message), crosscheck.precision(**options):
        pytest.fail("entered")


def test_the_command_prints_what_each_changes(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = command("env", "--json", "env.json")
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "env.json").read_text())
    assert {setting["name"] for setting in data["settings"]} == set(now())
    printed = " ".join(done.stdout.split())  # lines are wrapped
    for setting in data["settings"]:
        assert setting["changes"] in printed
        assert setting["alike"] in printed
    assert "float32 matmul precision: torch highest, jax default of the device" in done.stdout
