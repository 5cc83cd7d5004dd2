"""The zoo is right: each port agrees with torch, with the weights carried over by hand, and each planted bug shows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from in_both import to_torch, x64
from zoo import ARCHITECTURES, Architecture, Port, installed
from zoo.architecture import State, state_of
from zoo.bugs import BUGS, Bug, planted, trios

SEED = 1
ALL = [(architecture, library) for architecture in ARCHITECTURES.values() for library in architecture.ports]
PORTS = [pytest.param(architecture, library, id=f"{architecture.name}-{library}") for architecture, library in ALL]
DTYPES = [
    pytest.param(
        architecture,
        library,
        dtype,
        id=f"{architecture.name}-{library}-{dtype}",
        marks=[] if (architecture.name, library, dtype) == ("mlp", "plain", "float64") else [pytest.mark.slow],
    )
    for architecture, library in ALL
    for dtype in architecture.tolerances
]
KINDS = ("values", "gradients", "state")
Arrays = dict[str, np.ndarray]


@pytest.fixture
def library_here(request: pytest.FixtureRequest) -> Iterator[None]:
    library = request.getfixturevalue("library")
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    yield
    jax.clear_caches()  # hardly two ports have a program in common


def cast(inputs: Sequence[Any], dtype: str) -> list[Any]:
    return [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]


def listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def numbered(outputs: Any) -> Arrays:
    return {f"output {k}": np.asarray(output, np.float64) for k, output in enumerate(listed(outputs))}


def of_torch(architecture: Architecture, dtype: str) -> Arrays:
    """The outputs, and in training mode the buffers after the call."""
    model = architecture.torch_model(SEED).to(getattr(torch, dtype))
    inputs = map(to_torch, cast(architecture.inputs(SEED), dtype))
    with torch.no_grad():
        outputs = numbered([output.double() for output in listed(model(*inputs))])
    buffers = {name: value.double().numpy() for name, value in model.named_buffers() if value.is_floating_point()}
    return outputs | (buffers if architecture.train else {})


def opened(port: Port) -> tuple[dict[int, Any], Callable[..., tuple[Any, State]]]:
    """A port's arrays, and the function of them and of inputs that gives the outputs and the new state.

    The arrays of a module must be arguments of what is compiled and differentiated.
    """
    leaves, structure = jax.tree.flatten((port.model, port.params))
    arrays = {k: leaf for k, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}

    def call(arrays: dict[int, Any], inputs: Sequence[Any]) -> tuple[Any, State]:
        model, params = jax.tree.unflatten(structure, [arrays.get(k, leaf) for k, leaf in enumerate(leaves)])
        outputs = model(*inputs) if params is None else model(params, *inputs)
        if port.new_state is None:
            return outputs, {}
        outputs, state = (outputs, model) if params is None else outputs
        return outputs, port.new_state(state)

    return arrays, call


def of_jax(architecture: Architecture, port: Port, dtype: str) -> Arrays:
    arrays, call = opened(port)
    outputs, state = jax.jit(call)(arrays, port.laid_out(cast(architecture.inputs(SEED), dtype)))
    return numbered(outputs) | {name: np.asarray(value, np.float64) for name, value in state.items()}


def direction(architecture: Architecture) -> State:
    """A change of all parameters: those of another random model. Buffers stay as they are."""
    model = architecture.torch_model(SEED + 1)
    buffers = {name for name, _ in model.named_buffers()}
    return {name: 0 * value if name in buffers else value for name, value in state_of(model, "float64").items()}


def weighted(outputs: Any, like: Callable[[np.ndarray], Any]) -> Any:
    """The sum of all outputs, each element with a weight of its own."""
    return sum(
        (output * like(np.cos(np.arange(1.0, 1 + np.prod(output.shape)).reshape(output.shape)))).sum()
        for output in listed(outputs)
    )


def slope_of_torch(architecture: Architecture) -> float:
    """How much the weighted outputs change in the direction, by the gradients of the parameters."""
    model = architecture.torch_model(SEED).double()
    inputs = [to_torch(x) for x in cast(architecture.inputs(SEED), "float64")]
    weighted(model(*inputs), torch.from_numpy).backward()
    changes = direction(architecture)
    return sum(float((p.grad.numpy() * changes[name]).sum()) for name, p in model.named_parameters())


def slope_of_jax(architecture: Architecture, port: Port, library: str) -> float:
    """The same, by JAX's gradients; converters are affine, so that they convert the direction too."""

    def converted(state: State) -> dict[int, Any]:
        return opened(architecture.jax(library, dtype="float64", weights=lambda _: state))[0]

    arrays, call = opened(port)
    changes = direction(architecture)
    to, since = converted(changes), converted({name: 0 * value for name, value in changes.items()})
    inputs = port.laid_out(cast(architecture.inputs(SEED), "float64"))
    floating = {k: value for k, value in arrays.items() if jnp.issubdtype(value.dtype, jnp.floating)}
    gradients = jax.jit(jax.grad(lambda some: weighted(call({**arrays, **some}, inputs)[0], jnp.asarray)))(floating)
    return sum(float((gradients[k] * (to[k] - since[k])).sum()) for k in gradients)


def distances(expected: Arrays, got: Arrays) -> dict[str, float]:
    """The largest difference of each array, relative to the largest of its elements."""
    assert expected.keys() == got.keys()
    assert all(expected[name].shape == got[name].shape for name in expected)
    return {name: float(abs(got[name] - expected[name]).max() / abs(expected[name]).max()) for name in expected}


@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize(("architecture", "library", "dtype"), DTYPES)
def test_a_port_agrees_with_torch(architecture: Architecture, library: str, dtype: str) -> None:
    expected = of_torch(architecture, dtype)
    with x64(dtype):
        got = of_jax(architecture, architecture.jax(library, SEED, dtype=dtype), dtype)
    inside = "float32" if dtype == "float64" and library in architecture.float32_inside else dtype
    assert max(distances(expected, got).values()) < architecture.tolerances[inside]


@pytest.mark.slow
@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize(("architecture", "library"), PORTS)
def test_the_gradients_of_a_port_agree_with_those_of_torch(architecture: Architecture, library: str) -> None:
    expected = slope_of_torch(architecture)
    with x64("float64"):
        got = slope_of_jax(architecture, architecture.jax(library, SEED, dtype="float64"), library)
    assert got == pytest.approx(expected, rel=1e-5 if library in architecture.float32_inside else 1e-8)


@pytest.mark.slow
@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize(("architecture", "library"), PORTS)
def test_a_fresh_port_has_the_same_shapes_and_other_outputs(architecture: Architecture, library: str) -> None:
    expected = of_torch(architecture, "float32")
    got = of_jax(architecture, architecture.jax(library, fresh=True), "float32")
    assert max(distances(expected, got).values()) > 1e-2


def test_the_bugs_are_many_and_say_where_they_are() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 40
    assert {bug.shows for bug in BUGS} == set(KINDS)
    for bug in BUGS:
        architecture = ARCHITECTURES[bug.architecture]
        assert bug.library in architecture.ports
        modules = dict(architecture.torch_model(0).named_modules())
        assert bug.where
        assert [path for path in bug.where if path not in modules] == [], bug.name


@pytest.mark.slow
@pytest.mark.usefixtures("library_here")
@pytest.mark.parametrize(("library", "bug"), [pytest.param(bug.library, bug, id=bug.name) for bug in BUGS])
def test_a_bug_shows_in_float64(library: str, bug: Bug) -> None:
    architecture = ARCHITECTURES[bug.architecture]
    expected = of_torch(architecture, "float64")
    with x64("float64"):
        port = bug.jax(SEED, "float64")
        far = distances(expected, of_jax(architecture, port, "float64"))
        outputs = max(distance for name, distance in far.items() if name.startswith("output"))
        if bug.shows == "values":
            assert outputs > (1e-6 if library in architecture.float32_inside else 1e-7)
            return
        assert outputs < 1e-10
        if bug.shows == "state":
            moved = {name.rpartition(".")[0] for name, distance in far.items() if distance > 1e-6}
            assert moved == set(bug.where)
            return
        assert slope_of_jax(architecture, port, library) != pytest.approx(slope_of_torch(architecture), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("bugs", [pytest.param(bugs, id=bugs[0].architecture) for bugs in trios()])
def test_three_bugs_are_planted_at_once(bugs: tuple[Bug, ...]) -> None:
    architecture = ARCHITECTURES[bugs[0].architecture]
    with x64("float64"):
        three, two = (of_jax(architecture, planted(some, SEED, "float64"), "float64") for some in (bugs, bugs[1:]))
    assert max(distances(two, three).values()) > 1e-7
