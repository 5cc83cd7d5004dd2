"""Derivative rules for JAX: a function with a given derivative, whose own derivative is given, and so on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Rule = Callable[..., Any]


def with_derivatives(rules: Sequence[Rule]) -> Callable[..., Any]:
    """``rules[0]`` as a function of ``x``, its k-th derivative being ``rules[k]``; JAX differentiates the last one.

    Each rule is elementwise and takes ``jax`` first. Works under every transformation. Parameters that are JAX arrays
    are differentiated too, through ``rules[0]`` itself.
    """
    value, *derivatives = rules
    if not derivatives:
        return functools.partial(value, jax)
    derivative = with_derivatives(derivatives)

    def function(x: Any, **parameters: Any) -> Any:
        arrays = {name: given for name, given in parameters.items() if isinstance(given, jax.Array)}
        fixed = {name: given for name, given in parameters.items() if name not in arrays}

        @jax.custom_jvp
        def with_rule(x: Any, arrays: dict[str, Any]) -> Any:
            return value(jax, x, **arrays, **fixed)

        @with_rule.defjvp
        def rule(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
            x, arrays = primals
            tangent = tangents[0] * derivative(x, **arrays, **fixed)
            if arrays:
                of_arrays = functools.partial(_of_parameters, value, x, fixed)
                tangent = tangent + jax.jvp(of_arrays, (arrays,), (tangents[1],))[1]
            return with_rule(x, arrays), tangent

        return with_rule(x, arrays)

    return function


def _of_parameters(value: Rule, x: Any, fixed: dict[str, Any], arrays: dict[str, Any]) -> Any:
    return value(jax, x, **arrays, **fixed)


Parameters = tuple[tuple[str, Any], ...]
"""The parameters of a function of rows, including axis; hashable, since they are static."""


def with_row_derivatives(value: Rule, gradient: Rule, second: Rule, along: Rule | None = None) -> Callable[..., Any]:
    """``value(jax, x, axis, **p)``, a function of rows with the Jacobian J, with given derivatives.

    ``gradient(jax, x, v, axis, **p)`` is J^T v, ``second(jax, x, v, w, axis, **p)`` is its derivative along w, and
    ``along(jax, x, w, axis, **p)`` is J w, which JAX can differentiate; if J is symmetric, it is the gradient. In reverse
    mode, JAX would transpose linear functions operation by operation, and so undo the care taken with rounding. They are
    therefore primitives with given transposes.
    """
    forward = gradient if along is None else along
    first_p, second_p = _primitive("row_gradient", gradient), _primitive("row_second", second)
    along_p = first_p if along is None else _primitive("row_along", forward)

    def bent(x: Any, w: Any, further: Any, parameters: Parameters) -> Any:
        """The derivative of J w along another direction."""
        if along is None:
            return second_p.bind(x, w, further, parameters=parameters)
        return jax.jvp(lambda x: forward(jax, x, w, **dict(parameters)), (x,), (further,))[1]

    def first_jvp(primals: Sequence[Any], tangents: Sequence[Any], parameters: Parameters) -> tuple[Any, Any]:
        x, v = primals
        along_x, along_v = map(ad.instantiate_zeros, tangents)
        tangent = second_p.bind(x, v, along_x, parameters=parameters) + first_p.bind(x, along_v, parameters=parameters)
        return first_p.bind(x, v, parameters=parameters), tangent

    def along_jvp(primals: Sequence[Any], tangents: Sequence[Any], parameters: Parameters) -> tuple[Any, Any]:
        x, w = primals
        along_x, along_w = map(ad.instantiate_zeros, tangents)
        tangent = bent(x, w, along_x, parameters) + along_p.bind(x, along_w, parameters=parameters)
        return along_p.bind(x, w, parameters=parameters), tangent

    def second_jvp(primals: Sequence[Any], tangents: Sequence[Any], parameters: Parameters) -> tuple[Any, Any]:
        x, v, w = primals
        along_x, along_v, along_w = map(ad.instantiate_zeros, tangents)
        third = jax.jvp(lambda x: second(jax, x, v, w, **dict(parameters)), (x,), (along_x,))[1]
        by_v, by_w = ((x, along_v, w), (x, v, along_w))
        tangent = third + second_p.bind(*by_v, parameters=parameters) + second_p.bind(*by_w, parameters=parameters)
        return second_p.bind(x, v, w, parameters=parameters), tangent

    def first_transpose(cotangent: Any, x: Any, v: Any, parameters: Parameters) -> tuple[None, Any]:
        return None, along_p.bind(x, ad.instantiate_zeros(cotangent), parameters=parameters)

    def along_transpose(cotangent: Any, x: Any, w: Any, parameters: Parameters) -> tuple[None, Any]:
        return None, first_p.bind(x, ad.instantiate_zeros(cotangent), parameters=parameters)

    def second_transpose(cotangent: Any, x: Any, v: Any, w: Any, parameters: Parameters) -> tuple[None, Any, Any]:
        cotangent = ad.instantiate_zeros(cotangent)
        if ad.is_undefined_primal(v):
            return None, bent(x, cotangent, w, parameters), None
        return None, None, second_p.bind(x, v, cotangent, parameters=parameters)

    ad.primitive_jvps[first_p], ad.primitive_transposes[first_p] = first_jvp, first_transpose
    ad.primitive_jvps[second_p], ad.primitive_transposes[second_p] = second_jvp, second_transpose
    if along is not None:
        ad.primitive_jvps[along_p], ad.primitive_transposes[along_p] = along_jvp, along_transpose

    compiled = jax.jit(functools.partial(_run, value), static_argnames="parameters")

    def function(x: Any, axis: int, **others: Any) -> Any:
        axis = axis - x.ndim if axis >= 0 else axis  # counted from the end, as vmap adds axes in front
        parameters = (("axis", axis), *others.items())

        @jax.custom_jvp
        def of_x(x: Any) -> Any:
            return compiled(x, parameters=parameters)

        @of_x.defjvp
        def rule(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
            return of_x(*primals), along_p.bind(*primals, *tangents, parameters=parameters)

        return of_x(x)

    return function


def _run(formula: Rule, *arrays: Any, parameters: Parameters) -> Any:
    return formula(jax, *arrays, **dict(parameters))


class _RowPrimitive(Primitive):
    """A primitive whose operands may vary over different axes of a ``jax.shard_map``, as JAX's own operands may."""

    def bind(self, *arrays: Any, **parameters: Any) -> Any:
        varying = [jax.typeof(array).manual_axis_type.varying for array in arrays]
        every = frozenset().union(*varying)
        alike = (
            jax.lax.pcast(array, tuple(every - axes), to="varying") for array, axes in zip(arrays, varying, strict=True)
        )
        return super().bind(*alike, **parameters)


def _primitive(name: str, formula: Rule) -> Any:
    """``formula(jax, *arrays, **parameters)`` as a primitive, with the axis counted from the end."""
    primitive = _RowPrimitive(name)
    run = functools.partial(_run, formula)

    def batched(arrays: Sequence[Any], axes: Sequence[Any], parameters: Parameters) -> tuple[Any, int]:
        size = next(a.shape[d] for a, d in zip(arrays, axes, strict=True) if d is not None)
        front = [batching.bdim_at_front(a, d, size) for a, d in zip(arrays, axes, strict=True)]
        return primitive.bind(*front, parameters=parameters), 0

    def shaped(*arrays: Any, parameters: Parameters) -> Any:
        # the formula's, which also has how the result is sharded and over which axes of a shard_map it varies
        (result,) = jax.make_jaxpr(functools.partial(run, parameters=parameters))(*arrays).out_avals
        return result

    primitive.def_impl(jax.jit(run, static_argnames="parameters"))
    primitive.def_abstract_eval(shaped)
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=False))
    batching.primitive_batchers[primitive] = batched
    return primitive
