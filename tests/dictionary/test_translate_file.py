"""`crosscheck translate --file`: the calls of PyTorch in a file, their counterparts, and what differs."""

import importlib.util
import inspect
import json
import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cli
import pytest
import torch
from public_calls import counted
from torch.overrides import TorchFunctionMode

import crosscheck
from crosscheck import FileTranslation, UsageError, translate_file

TORCH = f"{Path(torch.__file__).parent}{os.sep}"

MODEL = """
import math
from functools import partial

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.init import zeros_


def other(x):
    return np.split(x, 2), math.sqrt(2), "a b".split(), [1].index(1)


class Block(nn.Module):
    def __init__(self, width, norm_layer=None):
        super().__init__()
        if norm_layer is None:
            norm_layer = partial(nn.LayerNorm, eps=1e-6)
        self.pool = nn.MaxPool2d(2, stride=2)
        self.act = nn.GELU(approximate="tanh")
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.register_buffer("scale", torch.ones(width))

    def help(self, x):
        return x

    @torch.no_grad()
    def start(self):
        for layer in self.layers:
            zeros_(layer.bias)

    def forward(self, x: Tensor):
        q, k = self.help(x).chunk(2, dim=-1)
        x.add_(1)
        x = F.softmax(q @ k.transpose(-1, -2), dim=-1)
        return F.cross_entropy(x.view(-1, 4), k.argmax(-1), weight=self.scale, ignore_index=-1)


def train(model, data):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    for x in data:
        optimizer.zero_grad()
        model(x).backward()
        optimizer.step()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FileTranslation:
    path = tmp_path_factory.mktemp("port") / "my_model.py"
    path.write_text(MODEL, "utf-8")
    return translate_file(path)


def test_every_call_is_found_in_order(report: FileTranslation) -> None:
    names = [call.name.removeprefix("torch.") for call in report.calls]
    assert names == [
        *("nn.LayerNorm", "nn.MaxPool2d", "nn.GELU", "nn.ModuleList", "nn.Linear", "nn.Module.register_buffer", "ones"),
        *("no_grad", "nn.init.zeros_", "Tensor.chunk", "Tensor.add_", "nn.functional.softmax", "Tensor.transpose"),
        *("nn.functional.cross_entropy", "Tensor.view", "Tensor.argmax", "optim.AdamW", "nn.Module.parameters"),
        *("optim.Optimizer.zero_grad", "Tensor.backward", "optim.Optimizer.step"),
    ]
    lines = [call.line for call in report.calls]
    assert lines == sorted(lines)
    for call in report.calls:
        assert call.name.rpartition(".")[2] in MODEL.splitlines()[call.line - 1], call


def test_every_call_of_the_model_is_in_the_dictionary(report: FileTranslation) -> None:
    assert report.passed, report.verdict
    assert report.found == len(report.calls)
    assert all(call.counterpart for call in report.calls)


def differing(report: FileTranslation, name: str) -> str:
    (call,) = [call for call in report.calls if call.name == f"torch.{name}"]
    return "; ".join(call.differences)


def test_only_what_matters_for_the_written_arguments_is_told(report: FileTranslation) -> None:
    """`eps`, `stride` and `approximate` are written; the weights are too, so what they change matters."""
    assert "eps is 1e-5 in PyTorch" not in differing(report, "nn.LayerNorm")
    assert "use_fast_variance" in differing(report, "nn.LayerNorm")
    assert "stride is the window" not in differing(report, "nn.MaxPool2d")
    assert "approximation by tanh" not in differing(report, "nn.GELU")
    assert "divides by the sum of the weights" in differing(report, "nn.functional.cross_entropy")
    assert "weight_decay is 0.01" not in differing(report, "optim.AdamW")


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text("from torch import nn\nnn.LayerNorm(4)\nnn.MaxPool2d(2)\nnn.GELU()\nnn.CrossEntropyLoss()\n", "utf-8")
    norm, pool, gelu, loss = ("; ".join(call.differences) for call in translate_file(path).calls)
    assert "eps is 1e-5 in PyTorch" in norm
    assert "stride is the window in PyTorch" in pool
    assert "approximation by tanh" in gelu
    assert "divides by the sum of the weights" not in loss
    assert "PyTorch takes the mean over the batch" in loss


def test_the_use_fits_the_written_arguments(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text(
        "from torch.nn.functional import pad\npad(x, (1, 1), mode='reflect')\npad(x, (1, 1), 'circular')\n", "utf-8"
    )
    used = [call.entry.what for call in translate_file(path).calls if call.entry]
    assert used == ["reflect", "circular"]


def test_the_code_of_an_entry_is_shown_as_an_example_and_never_as_the_translation_of_a_call(tmp_path: Path) -> None:
    path = tmp_path / "flat.py"
    path.write_text("import torch\n\n\ndef flat(x: torch.Tensor):\n    return x.view(x.size(0), -1)\n", "utf-8")
    report = translate_file(path)
    assert {call.name: call.counterpart for call in report.calls} == {
        "torch.Tensor.view": "jax.numpy.reshape",
        "torch.Tensor.size": "written out: see the example below",
    }
    text = str(report)
    for call in report.calls:
        assert call.entry is not None
        example = text.index(f"# for example, PyTorch\n{call.entry.torch}\n")
        assert example < text.index(f"\n{call.entry.offered[0].code}\n")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import torch as t\nt.tanh(x)", ["torch.tanh"]),
        ("import torch.nn.functional\ntorch.nn.functional.relu(x)", ["torch.nn.functional.relu"]),
        ("from torch.nn.functional import relu as r\nr(x)", ["torch.nn.functional.relu"]),
        ("from mine import relu\nrelu(x)", []),
        ("import numpy as np\nnp.view(x), np.x.transpose(0)", []),
        ("def f():\n    import torch\n    return torch.tanh(1)", ["torch.tanh"]),
        ("x.split(',')", []),
        ("import torch\nx = torch.ones(4)\nx.split(2)", ["torch.ones", "torch.Tensor.split"]),
        ("def f(x: 'torch.Tensor | None'):\n    return x.split(2)", ["torch.Tensor.split"]),
        ("import torch\nact = torch.relu\nact(x)", ["torch.relu"]),
        ("import torch\n@torch.jit.script\ndef f(x): ...", ["torch.jit.script"]),
        ("x.view(2).sum().item()", ["torch.Tensor.item", "torch.Tensor.sum", "torch.Tensor.view"]),
        ("config.to_dict(), path.exists(), logger.info('x')", []),
    ],
)
def test_what_a_name_stands_for_is_read_from_the_file(code: str, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "read.py"
    path.write_text(code, "utf-8")
    assert sorted(call.name for call in translate_file(path).calls) == sorted(names)


def test_nothing_of_the_file_is_run_and_no_framework_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import torch\nopen('ran', 'w')\ntorch.tanh(1)\nraise SystemExit(3)\n", "utf-8")
    code = (
        "import crosscheck, sys\n"
        f"print(len(crosscheck.translate_file({str(path)!r}).calls), {{'torch', 'jax'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "1 set()\n"
    assert [file.name for file in tmp_path.iterdir()] == ["bad.py"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def f(:\n", "is no Python: line 1"),
        (b"\xff\xfe", "is no Python"),
        (None, "cannot be read"),
        (b"x = 1\0", "is no Python"),
    ],
)
def test_what_is_no_python_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "model.py"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"path: .*{message}"):
        translate_file(path)
    result = cli.run("translate", "--file", str(path))
    assert result.exit_code == 2
    assert message in result.output
    with pytest.raises(UsageError, match="path: got int"):
        translate_file(3)  # type: ignore[arg-type]


def test_the_command_tells_and_writes(tmp_path: Path) -> None:
    path, kept = tmp_path / "my_model.py", tmp_path / "found.json"
    path.write_text(MODEL, "utf-8")
    result = cli.run("translate", "--file", str(path), "--json", str(kept))
    assert result.exit_code == 0, result.output
    for text in ("21 calls of 21 names of PyTorch, 21 in the dictionary.", "nn.MaxPool2d(2, stride=2)", "Differs: "):
        assert text in " ".join(result.output.split())
    data = json.loads(kept.read_text("utf-8"))
    assert data["schema"] == "crosscheck.translated-file/1"
    assert len(data["calls"]) == 21


def test_a_call_that_the_dictionary_lacks_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "rare.py"
    path.write_text("import torch\ntorch.tanh(1)\ntorch.frobnicate(2)\n", "utf-8")
    result = cli.run("translate", "--file", str(path))
    assert result.exit_code == 1
    assert "2 calls of 2 names of PyTorch, 1 in the dictionary; not in it: torch.frobnicate." in " ".join(
        result.output.split()
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("l1_loss", "--file", "mine.py"), "--file: got NAME too"),
        (("--run", "--file", "mine.py"), "--file: got --run too"),
        (("--file", "mine.py", "--file", "mine.py"), "--file: got 2 files, expected one"),
    ],
)
def test_the_command_refuses_what_has_no_effect(line: tuple[str, ...], message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import torch\ntorch.tanh(1)\n", "utf-8")
    result = cli.run("translate", *(str(path) if word == "mine.py" else word for word in line))
    assert result.exit_code == 2
    assert message in result.output


def test_a_file_without_calls_is_no_silent_pass(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("x = 1\n", "utf-8")
    result = cli.run("translate", "--file", str(path))
    assert result.exit_code == 2
    assert "no call of PyTorch" in result.output


def test_the_methods_are_those_of_pytorch() -> None:
    """Else write crosscheck/_translate/methods.json anew from this PyTorch."""
    kept = json.loads(Path(crosscheck.__file__).with_name("_translate").joinpath("methods.json").read_text("utf-8"))
    for name, methods in kept.items():
        kind = torch.Tensor if name == "torch.Tensor" else torch.nn.Module if "nn" in name else torch.optim.Optimizer
        every = ((attribute, getattr(kind, attribute, None)) for attribute in dir(kind) if not attribute.startswith("_"))
        # transformers adds methods of its own to PyTorch's modules
        here = {
            name
            for name, member in every
            if callable(member) and "transformers" not in str(getattr(member, "__module__", ""))
        }
        assert len(here - {*methods}) <= (0 if torch.__version__.startswith("2.13") else 40), here - {*methods}


KEPT = Path(__file__).parents[2] / "results" / "dictionary" / "calls.json"
MODELS = ("models/resnet.py", "models/vision_transformer.py", "models/gpt2/modeling_gpt2.py")


def kept_rows() -> dict[str, dict[str, Any]]:
    """What `nox -s calls` has counted, by the file or folder."""
    return {row["place"]: row for row in json.loads(KEPT.read_text("utf-8"))["rows"]}


@pytest.mark.parametrize("model", MODELS)
def test_the_dictionary_has_every_call_of_public_models(model: str) -> None:
    row = kept_rows()[model]
    assert row["found"] == row["calls"] > 0
    assert not row["lacking"]


def test_the_dictionary_has_nearly_every_call_of_a_whole_library() -> None:
    row = kept_rows()["."]
    assert row["found"] >= 0.95 * row["calls"] > 1000


@pytest.mark.full
@pytest.mark.parametrize("model", MODELS)
def test_the_kept_numbers_are_those_of_a_count(model: str) -> None:
    """Else `nox -s calls -- --json results/dictionary/calls.json` writes them anew."""
    row = kept_rows()[model]
    spec = importlib.util.find_spec(row["library"])
    if spec is None or version(row["library"]) != row["version"]:
        pytest.skip(f"{row['library']} {row['version']} is not installed")
    assert counted(Path(str(spec.origin)).parent / model).items() <= row.items()


class Called(TorchFunctionMode):
    """Notes on which lines of a file functions of PyTorch are called; operators, and modules that are called, apart."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file, self.lines = file, set[int]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "__get__")
        frame, inside = sys._getframe(1), False
        while frame is not None and frame.f_back is not None and frame.f_code.co_filename.startswith(TORCH):
            inside |= frame.f_code.co_name in ("_call_impl", "_wrapped_call_impl", "__setattr__")
            frame = frame.f_back
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if frame.f_code.co_filename == self.file and not inside and f"{name}(" in line:  # an operator is not written so
            self.lines.add(frame.f_lineno)
        return func(*args, **(kwargs or {}))


def resnet() -> tuple[str, Callable[[], object]]:
    from torchvision.models import resnet

    return str(inspect.getsourcefile(resnet)), lambda: resnet.resnet18().eval()(torch.zeros(1, 3, 32, 32))


def vit() -> tuple[str, Callable[[], object]]:
    from torchvision.models import vision_transformer as vit

    small = {"image_size": 8, "patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8}
    return str(inspect.getsourcefile(vit)), lambda: vit.VisionTransformer(**small)(torch.zeros(1, 3, 8, 8))


def gpt2() -> tuple[str, Callable[[], object]]:
    from transformers import GPT2Config
    from transformers.models.gpt2 import modeling_gpt2 as gpt2

    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=8)
    return str(inspect.getsourcefile(gpt2)), lambda: gpt2.GPT2LMHeadModel(config)(torch.zeros(1, 4, dtype=torch.long))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("library", "public"), [("torchvision", resnet), ("torchvision", vit), ("transformers", gpt2)])
def test_what_a_public_model_calls_when_it_runs_was_read(library: str, public: Any) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    source, run = public()
    read = {line for call in translate_file(source).calls for line in range(call.line - 1, call.line + 2)}
    with Called(source) as called, torch.no_grad():
        run()
    assert called.lines
    assert called.lines <= read
