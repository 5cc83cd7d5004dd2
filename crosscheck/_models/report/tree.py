"""The tree of a model: its modules, each with what its landmarks show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from crosscheck._report.blocks import Branch, Tree

if TYPE_CHECKING:
    from crosscheck._models.report.report import Fault, Layer

HEAD = ("layer", "verdict", "cause", "made here", "accumulated", "rounding")


@dataclass
class _ModuleNode:
    """A module: its own landmarks and faults, and the modules in it."""

    name: str
    layers: list[Layer] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    inside: dict[str, _ModuleNode] = field(default_factory=dict)

    def at(self, path: str) -> _ModuleNode:
        node = self
        for name in filter(None, path.split(".")):
            node = node.inside.setdefault(name, _ModuleNode(name))
        return node

    @property
    def all_layers(self) -> list[Layer]:
        return [*self.layers, *(layer for node in self.inside.values() for layer in node.all_layers)]

    @property
    def all_faults(self) -> list[Fault]:
        return [*self.faults, *(fault for node in self.inside.values() for fault in node.all_faults)]

    @property
    def alike(self) -> object:
        """Equal for modules that agree and have landmarks of the same names in modules of the same names."""
        if self.faults:
            return id(self)
        own = tuple((layer.name.rpartition(".")[2], layer.place) for layer in self.layers)
        return own, tuple((name, node.alike) for name, node in self.inside.items())


def tree(layers: Sequence[Layer], faults: Sequence[Fault]) -> Tree:
    """Every module with landmarks or faults, in the order in which JAX reaches them; similar layers are grouped."""
    root = _ModuleNode("")
    for number, layer in enumerate(layers):
        for fault in faults:
            if fault.layers[:1] == (number,):
                root.at(fault.torch).faults.append(fault)
        root.at(layer.torch).layers.append(layer)
    for fault in faults:
        if not fault.layers:
            root.at(fault.torch).faults.append(fault)
    return Tree(HEAD, list(_inside(root, faults)))


def _inside(node: _ModuleNode, faults: Sequence[Fault]) -> Iterator[Branch]:
    """The faults of a module, the modules in it, and its landmarks, such as the outputs of a model."""
    for fault in node.faults:
        yield Branch(
            (f"{fault.operation}: {fault.explanation}", "DISAGREE", fault.cause, _number(fault.error), "", ""), wrong=True
        )
    for _, group in groupby(node.inside.values(), key=_together):
        nodes = list(group)
        branches = [
            Branch(_of_nodes([child], child.name), list(_inside(child, faults)), wrong=bool(child.all_faults))
            for child in nodes
        ]
        name = f"{nodes[0].name} to {nodes[-1].name}"
        yield from branches if len(nodes) == 1 else [Branch(_of_nodes(nodes, name), branches)]
    for layer in node.layers:
        yield Branch(_of_layer(layer, faults))


def _together(node: _ModuleNode) -> object:
    """Equal for layers that are shown as one: numbered, similar, and correct."""
    return node.alike if node.name.isdecimal() and not node.all_faults else id(node)


def _of_nodes(nodes: Sequence[_ModuleNode], name: str) -> tuple[str, ...]:
    layers = [layer for node in nodes for layer in node.all_layers]
    faults = [fault for node in nodes for fault in node.all_faults]
    own: Sequence[Fault | Layer] = faults or [
        layer for layer in layers if layer.fault is None
    ]  # other landmarks show the fault of another module
    count = f" ({len(layers)} landmarks)" if len(layers) > 1 else ""
    causes = [record.cause for record in own]
    return (
        name + count,
        "DISAGREE" if faults else "agree",
        causes[0] if faults else "rounding" if "rounding" in causes else "exact",
        _number(max((record.error for record in own), default=None)),
        _largest(layers, lambda layer: layer.accumulated),
        _largest(layers, lambda layer: layer.drift),
    )


def _of_layer(layer: Layer, faults: Sequence[Fault]) -> tuple[str, ...]:
    """A landmark. If it shows a fault, its own module need not be wrong."""
    where = " ".join(filter(None, (layer.jax, layer.source)))
    name = f"{layer.name.rpartition('.')[2]} {layer.place}" + f", {where}" * bool(where)
    if layer.fault is not None:
        name += f": shows what goes wrong in {faults[layer.fault].where}"
    verdict = "agree" if layer.fault is None else ""
    return (name, verdict, layer.cause, _number(layer.error), _number(layer.accumulated), _number(layer.drift))


def _largest(layers: Sequence[Layer], of: Callable[[Layer], float | None]) -> str:
    return _number(max((value for layer in layers if (value := of(layer)) is not None), default=None))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
