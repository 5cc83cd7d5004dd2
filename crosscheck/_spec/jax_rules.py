"""Derivative rules for JAX: a function whose derivative is given, whose derivative's derivative is given, and so on."""

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


def with_row_derivatives(value: Rule, gradient: Rule, second: Rule) -> Callable[..., Any]:
    """``value(jax, x, axis)``, a function of rows with a symmetric Jacobian, with its derivatives given.

    ``gradient(jax, x, v, axis)`` is the derivative along v, ``second(jax, x, v, w, axis)`` the derivative of that along w.
    Reverse mode transposes what is linear in v operation by operation, which would undo the care taken with rounding. The
    two are primitives therefore, with the transposes that symmetry gives: gradient and second themselves.
    """
    first_p, second_p = _primitive("row_gradient", gradient), _primitive("row_second", second)

    def first_jvp(primals: Sequence[Any], tangents: Sequence[Any], axis: int) -> tuple[Any, Any]:
        x, v = primals
        along_x, along_v = map(ad.instantiate_zeros, tangents)
        tangent = second_p.bind(x, v, along_x, axis=axis) + first_p.bind(x, along_v, axis=axis)
        return first_p.bind(x, v, axis=axis), tangent

    def second_jvp(primals: Sequence[Any], tangents: Sequence[Any], axis: int) -> tuple[Any, Any]:
        x, v, w = primals
        along_x, along_v, along_w = map(ad.instantiate_zeros, tangents)
        third = jax.jvp(lambda x: second(jax, x, v, w, axis=axis), (x,), (along_x,))[1]
        tangent = third + second_p.bind(x, along_v, w, axis=axis) + second_p.bind(x, v, along_w, axis=axis)
        return second_p.bind(x, v, w, axis=axis), tangent

    def first_transpose(cotangent: Any, x: Any, v: Any, axis: int) -> tuple[None, Any]:
        return None, first_p.bind(x, ad.instantiate_zeros(cotangent), axis=axis)

    def second_transpose(cotangent: Any, x: Any, v: Any, w: Any, axis: int) -> tuple[None, Any, Any]:
        cotangent = ad.instantiate_zeros(cotangent)
        if ad.is_undefined_primal(v):
            return None, second_p.bind(x, cotangent, w, axis=axis), None
        return None, None, second_p.bind(x, v, cotangent, axis=axis)

    ad.primitive_jvps[first_p], ad.primitive_transposes[first_p] = first_jvp, first_transpose
    ad.primitive_jvps[second_p], ad.primitive_transposes[second_p] = second_jvp, second_transpose

    compiled = jax.jit(functools.partial(value, jax), static_argnames="axis")

    def function(x: Any, axis: int) -> Any:
        axis = axis - x.ndim if axis >= 0 else axis  # counted from the end, as vmap adds axes in front

        @jax.custom_jvp
        def of_x(x: Any) -> Any:
            return compiled(x, axis=axis)

        @of_x.defjvp
        def rule(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
            return of_x(*primals), first_p.bind(*primals, *tangents, axis=axis)

        return of_x(x)

    return function


def _primitive(name: str, formula: Rule) -> Any:
    """``formula(jax, *arrays, axis)`` as a primitive, with arrays of one shape and the axis counted from the end."""
    primitive = Primitive(name)

    def run(*arrays: Any, axis: int) -> Any:
        return formula(jax, *arrays, axis=axis)

    def batched(arrays: Sequence[Any], axes: Sequence[Any], axis: int) -> tuple[Any, int]:
        size = next(a.shape[d] for a, d in zip(arrays, axes, strict=True) if d is not None)
        front = [batching.bdim_at_front(a, d, size) for a, d in zip(arrays, axes, strict=True)]
        return primitive.bind(*front, axis=axis), 0

    primitive.def_impl(jax.jit(run, static_argnames="axis"))
    primitive.def_abstract_eval(lambda x, *_, axis: jax.core.ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=False))
    batching.primitive_batchers[primitive] = batched
    return primitive
