"""Files that a command may be given: arrays, JSON and Python, whole, wrong, damaged and hostile."""

from __future__ import annotations

import copy
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

HOSTILE = (
    "<b>x</b>",
    "<script>x</script>",
    '"><img src=x>',
    "[bold]MARKED[/bold]",
    "[/x]",
    "[link](x)",
    "`x`",
    "a|b",
    "*x*",
    "$\\frac{$",
    "\x1b]0;x\x07",
    "x\nFORGED: all agree",
    "x\r\x1b]0;FORGED",
    "a/b",
    "%s{x}{",
    "é\u202e",
    "",
    " ",
    "x" * 400,
)
"""Names that HTML, Markdown, rich, matplotlib, a terminal or a format string may take for more than text."""

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAMES = st.one_of(st.sampled_from(["w", "b", "layer.0.weight"]), st.sampled_from(HOSTILE), TEXT)
NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.sampled_from([0.0, -0.0, 1.0, 1e-40, 3.4e38, 1e308, 5e-324]),
)
DTYPES = (
    "<f8",
    "<f4",
    "<f2",
    ">f4",
    "i1",
    "u8",
    "i8",
    "?",
    "bfloat16",
    "c8",
    "U3",
    "S2",
    "O",
    "M8[s]",
    "V2",
    "V3",
    "g",
    "f4,i4",
)
NUMERIC = 9
"""So many of these are compared."""
SHAPES = ((), (0,), (1,), (3,), (2, 2), (0, 3), (3, 1), (1,) * 8)


@st.composite
def arrays(draw: st.DrawFn, sound: bool = False) -> Any:
    """An array: of a dtype that is compared where it is to be ``sound``, else of any."""
    name = draw(st.sampled_from(DTYPES[:NUMERIC] if sound else DTYPES))
    shape = draw(st.sampled_from(SHAPES))
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size)), np.float64).reshape(shape)
    with np.errstate(all="ignore"):
        if name == "bfloat16":
            return values.astype(ml_dtypes.bfloat16)
        if np.dtype(name).kind in "OMV":
            return np.zeros(shape, name)
        return values.astype(name)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two sets of named arrays, mostly of the same names, shapes and dtypes."""
    names = draw(st.lists(NAMES, min_size=draw(st.sampled_from([0, 1, 1, 1])), max_size=4, unique=True))
    first = {name: draw(arrays(sound=draw(st.integers(0, 19)) > 0)) for name in names}
    second = dict(first)
    for name in names:
        how = draw(
            st.sampled_from(
                ["same", "same", "moved", "moved", "redrawn", "left out"] if len(names) > 1 else ["same", "moved"]
            )
        )
        if how == "moved" and first[name].dtype.kind == "f":
            with np.errstate(all="ignore"):
                second[name] = np.nextafter(first[name], np.inf)
        elif how == "redrawn" and draw(st.integers(0, 4)) == 0:
            second[name] = draw(arrays())
        elif how == "left out":
            del second[name]
    return first, second


@st.composite
def array_file(draw: st.DrawFn, held: Mapping[str, Any]) -> tuple[str, bytes]:
    """The ending and the content of a file of arrays, a few of them damaged or called something else."""
    ending = draw(st.sampled_from([".npy", ".npz", ".npz", ".safetensors"]))
    content = _arrays(held, ending)
    if draw(st.integers(0, 7)) == 0:
        content = draw(damaged(content))
    if draw(st.integers(0, 19)) == 0:
        ending = draw(st.sampled_from([".npy", ".npz", ".safetensors", ".pt", ".txt", "", ".NPZ"]))
    return ending, content


def _arrays(held: Mapping[str, Any], ending: str) -> bytes:
    """As another program might write them: with names and dtypes that crosscheck's own ``dump`` refuses."""
    file = io.BytesIO()
    if ending == ".npy":
        np.save(file, next(iter(held.values()), np.zeros(0)))
    elif ending == ".npz":
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in held.items():
                member = io.BytesIO()
                np.save(member, array)
                archive.writestr(f"{name}.npy", member.getvalue())
    else:
        return _safetensors(held)
    return file.getvalue()


def array_bytes() -> bytes:
    """A small .npy file."""
    return _arrays({"array": np.arange(3.0)}, ".npy")


def _safetensors(held: Mapping[str, Any]) -> bytes:
    known = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "bool": "BOOL"}
    header, data = {}, b""
    for name, array in held.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": known.get(str(array.dtype), "U64"),
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content cut short, with a wrong byte, of another kind, or gone."""
    how = draw(st.sampled_from(["cut", "flipped", "other", "empty", "doubled"]))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if how == "cut":
        return content[:at]
    if how == "flipped" and content:
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if how == "doubled":
        return content + content
    return (
        b""
        if how == "empty"
        else draw(st.sampled_from([b"\xff\xfe", b"text\n", pickle.dumps([1]), b"\x93NUMPY", b"PK\x03\x04"]))
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**400, -1, 2**63, 1e308, 0.5]),
    st.sampled_from(["nan", "inf", "-inf", "torch", "float32", *HOSTILE]),
    st.sampled_from([[], {}, [1], [[]], {"a": 1}, ["x", None]]),
)


@st.composite
def changed(draw: st.DrawFn, data: Any) -> bytes:
    """JSON with some values replaced, left out or added; or damaged as text."""
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = data, None
        while isinstance(holder, dict | list) and holder:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or not holder[key] or draw(st.integers(0, 5)) == 0:
                break
            holder = holder[key]
        if key is None:
            break
        _edit(draw, holder, key)
    content = json.dumps(data).encode()
    if draw(st.integers(0, 9)) == 0:
        return draw(damaged(content))
    return content


def _edit(draw: st.DrawFn, holder: Any, key: Any) -> None:
    how = draw(st.sampled_from(["replace", "replace", "delete", "add", "hostile"]))
    if how == "delete":
        del holder[key]
    elif how == "add" and isinstance(holder, dict):
        holder[draw(NAMES)] = draw(SCALARS)
    elif how == "hostile" and isinstance(holder[key], str):
        holder[key] = draw(st.sampled_from(HOSTILE))
    else:
        holder[key] = draw(SCALARS)


NO_JSON = st.sampled_from(
    [b"", b"null", b"[]", b"{}", b"[" * 100_000, b"{" * 10, b"\xff", b'{"schema": 1}', b'{"schema": NaN}', b"1" * 5000]
)

RECORD: Mapping[str, str] = {
    "name": "'mine'",
    "definition": "lambda m, x: x / 2",
    "derivative": "lambda m, x: m.where(x == x, 0.5, 0.5)",
    "second_derivative": "lambda m, x: m.where(x == x, 0.0, 0.0)",
    "torch_value": "lambda torch, x: x / 2",
    "torch_gradient": "lambda torch, x: torch.full_like(x, 0.5)",
    "torch_second": "lambda torch, x: torch.zeros_like(x)",
    "jax_value": "lambda jax, x: x / 2",
    "jax_gradient": "lambda jax, x: jax.numpy.full_like(x, 0.5)",
    "jax_second": "lambda jax, x: jax.numpy.zeros_like(x)",
    "limits": "crosscheck.Limits(minus=(-inf, 0.5, 0), plus=(inf, 0.5, 0))",
}
"""The fields of a record that is right, as Python."""
LATER = ("aliases", "parameters", "kinks", "cases", "natives", "deviations", "latex", "domain", "rows", "scale", "nothing")
EXPRESSIONS = (
    "None",
    "1",
    "'text'",
    "()",
    "(1, 2)",
    "{}",
    "[object()]",
    "float('nan')",
    "print",
    "lambda *a, **k: None",
    "lambda *a, **k: 1 / 0",
    "lambda *a, **k: 'text'",
    "lambda *a, **k: a[-1]",
    "raising",
    "{'a': 'x'}",
    "{'<b>': 1.0}",
    "{'a': 1.0}",
    "{'torch': crosscheck.Native('torch.nothing.there')}",
    "{'torch': crosscheck.Native('torch.nn.functional.relu')}",
    "{'torch': 1}",
    "('<b>x</b>', '[bold]x[/bold]')",
    "('x\\nFORGED',)",
    "('\\x1b]0;x',)",
    "'<b>'",
)
HEAD = """from math import inf
import crosscheck
def raising(*a, **k):
    raise RuntimeError({message!r})
"""


@st.composite
def records(draw: st.DrawFn, most: int = 2) -> bytes:
    """A Python file with a record of which some fields hold nonsense."""
    fields = dict(RECORD)
    for name in draw(st.lists(st.sampled_from([*RECORD, *LATER]), max_size=most, unique=True)):
        if name in fields and draw(st.integers(0, 4)) == 0:
            del fields[name]
        else:
            fields[name] = draw(st.sampled_from(EXPRESSIONS))
    made = ", ".join(f"{name}={value}" for name, value in fields.items())
    return f"{HEAD.format(message=draw(st.sampled_from(HOSTILE)))}MINE = crosscheck.Activation({made})\n".encode()


NO_RECORDS = st.sampled_from(
    [
        b"",
        b"x = 1\n",
        b"def (\n",
        b"\xff\n",
        b"raise SystemExit(0)\n",
        b"raise RuntimeError('a\\nFORGED')\n",
        b"raise RuntimeError('\\x1b]0;x')\n",
        b"raise BaseException\n",
        b"import crosscheck\nA = crosscheck.activations['relu']\n",
        b"import crosscheck\nA = crosscheck.Activation()\n",
        b"import nothing_there\n",
        b"1 / 0\n",
        b"import sys\nsys.exit('<b>')\n",
        b"def f(): f()\nf()\n",
        b"\0",
    ]
)
GOOD_RECORD = (
    HEAD.format(message="") + f"MINE = crosscheck.Activation({', '.join(f'{k}={v}' for k, v in RECORD.items())})\n"
).encode()

FUNCTIONS = b"""
import jax, numpy, torch
def half(x): return x / 2
def named(x): return x / 2
named.__name__ = NAME
def raising(x): raise RuntimeError(NAME)
def leaving(x): raise SystemExit(0)
def nothing(x): return None
def text(x): return NAME
def number(x): return 1.5
def mapping(x): return {NAME: x / 2, "b": x * 3}
def shaped(x): return x.reshape(-1)[:1]
def whole(x): return x.sum()
def to_numpy(x): return numpy.asarray(x)
def torch_only(x): return torch.tanh(x)
def jax_only(x): return jax.numpy.tanh(x)
def thing(x): return object()
def many(x, y): return x + y
def none_of_these(): return 1
def integers(x): return (x * 0).astype("int32") if hasattr(x, "astype") else (x * 0).int()
def boolean(x): return x > 0
def listing(x): return [x / 2, x / 3]
def empty(x): return []
VALUE = 3
class Class: pass
class Sub:
    def __call__(self, x): return x / 2
    def __repr__(self): raise ValueError(NAME)
sub = Sub()
def __getattr__(name):
    if name == "angry": raise RuntimeError(NAME)
    raise AttributeError(name)
"""
FUNCTION_NAMES = (
    *("half", "named", "raising", "leaving", "nothing", "text", "number", "mapping", "shaped", "whole", "to_numpy"),
    *("torch_only", "jax_only", "thing", "many", "none_of_these", "integers", "boolean", "listing", "empty"),
    *("VALUE", "Class", "sub", "angry", "missing", "sub.__call__"),
)

PORT = b"""
def given(*arguments): return NAME
def same(arguments): return arguments
def exits(*arguments): raise SystemExit(0)
def linear():
    made = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad(): made.weight.copy_(torch.ones(1, 2))
    return made
def torch_model(): return linear()
def jax_model(p, x): return x @ p.T
def params(): return numpy.ones((1, 2), numpy.float32)
def inputs(): return [numpy.ones((3, 2), numpy.float32)]
def empty_inputs(): return [numpy.ones((0, 2), numpy.float32)]
def batches(): return [inputs(), inputs()]
held = linear()
torch_state = (held, torch.optim.SGD(held.parameters(), lr=0.1))
def torch_step(x):
    torch_state[1].zero_grad()
    loss = held(x).square().mean()
    loss.backward()
    torch_state[1].step()
    return loss
def jax_state(): return jax.numpy.ones((2, 1))
def jax_step(w, x):
    loss, gradient = jax.value_and_grad(lambda w: ((x @ w) ** 2).mean())(w)
    return w - 0.1 * gradient, loss
"""
PORT_NAMES = (
    *("given", "exits", "torch_model", "jax_model", "params", "inputs", "empty_inputs", "batches", "held"),
    *("torch_state", "torch_step", "jax_state", "jax_step"),
)


def functions(name: str) -> bytes:
    """A module of functions, of which some are no good, and a name that they have or say."""
    return f"NAME = {name!r}\n".encode() + FUNCTIONS


def port(name: str) -> bytes:
    """A module of two models and two trainings, and of the same functions."""
    return functions(name) + PORT
