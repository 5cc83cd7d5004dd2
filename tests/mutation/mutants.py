"""The mutants that are tried: of what cosmic-ray can make, those that are code and teach something."""

import ast
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from mutation.records import Identity, Mutant

REPLACED = {
    "BinaryOperator": {
        "Add": ("Sub",),
        "Sub": ("Add",),
        "Mul": ("Div",),
        "Div": ("Mul",),
        "FloorDiv": ("Mul",),
        "Mod": ("FloorDiv",),
        "Pow": ("Mul",),
        "LShift": ("RShift",),
        "RShift": ("LShift",),
        "BitAnd": ("BitOr",),
        "BitOr": ("BitAnd", "BitXor"),
        "BitXor": ("BitOr",),
    },
    "ComparisonOperator": {
        "Eq": ("NotEq", "LtE", "GtE"),
        "NotEq": ("Eq", "Lt", "Gt"),
        "Lt": ("LtE", "NotEq", "Gt"),
        "LtE": ("Lt", "Eq", "Gt"),
        "Gt": ("GtE", "NotEq", "Lt"),
        "GtE": ("Gt", "Eq", "Lt"),
        "Is": ("IsNot",),
        "IsNot": ("Is",),
    },
    "UnaryOperator": {"Delete": ("USub", "Invert", "Not")},
}
"""For each operator the nearest others: of arithmetic the inverse, of comparisons those on both sides and the opposite.

cosmic-ray replaces each by every other, most of which no code could pass for: the distance of two numbers as their power."""


@dataclass(frozen=True)
class Made:
    """The mutants of some modules, and how many more cosmic-ray makes of them."""

    mutants: Sequence[Mutant]
    other_replacements: int
    no_other_code: int


def made(root: Path, modules: Sequence[str]) -> Made:
    """All that are worth a try, in the order of their lines."""
    worthwhile: list[Mutant] = []
    left_out: Counter[str] = Counter()
    for module in modules:
        source = (root / module).read_text(encoding="utf-8")
        code, seen = _code(source), Counter[Identity]()
        mutants = []
        for number, operator, occurrence, within in _places(source):
            if not _near(operator):
                left_out["other replacements"] += 1
                continue
            mutated = mutant_of(source, operator, occurrence)
            if _code(mutated) in (None, code):
                left_out["no other code"] += 1
                continue
            before, after = _changed(source, mutated)
            first = Identity(module, within, before, after)
            seen[first] += 1
            mutants.append(Mutant(Identity(module, within, before, after, seen[first]), number, operator, occurrence))
        worthwhile += sorted(mutants, key=lambda mutant: mutant.number)
    return Made(worthwhile, left_out["other replacements"], left_out["no other code"])


def mutant_of(source: str, operator: str, occurrence: int) -> str:
    """The source of a mutant."""
    mutated = mutate_code(source, get_operator(operator)(), occurrence)
    assert mutated is not None
    return str(mutated)


def _places(source: str) -> Iterator[tuple[int, str, int, str]]:
    """Where cosmic-ray can change something: the line's number, operator, occurrence, and the function it is in."""
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():  # such an operator is for variables that are named by hand
            continue
        operator = operator_class()
        places = ((node, start) for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, (node, start) in enumerate(places):
            yield start[0], name, occurrence, ASTQuery(node).get_definition_name() or ""


def _near(operator: str) -> bool:
    """Whether an operator replaces by something near, or is of another kind."""
    kind, _, change = operator.removeprefix("core/Replace").partition("_")
    if kind not in REPLACED:
        return True
    before, _, after = change.partition("_")
    return after in REPLACED[kind].get(before, ())


def _code(source: str) -> str | None:
    """What runs; None where this is no Python. Annotations do not, nor does the ``*`` that makes arguments keywords only."""
    try:
        return ast.dump(_Running().visit(ast.parse(source)))
    except SyntaxError:
        return None


class _Running(ast.NodeTransformer):
    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _changed(source: str, mutated: str) -> tuple[str, str]:
    """The line that was changed, before and after."""
    lines = [line for line in difflib.ndiff(source.splitlines(), mutated.splitlines()) if line[0] in "+-"]
    before, after = (" ".join(line[2:].strip() for line in lines if line[0] == sign).strip() for sign in "-+")
    return before, after
