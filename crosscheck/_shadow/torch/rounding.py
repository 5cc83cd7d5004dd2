"""Operations of torch in float64 under noise, which imitates the rounding of each."""

from typing import Any

import torch

from crosscheck._frameworks.torch_mode import Mode
from crosscheck._shadow.base import Noise, reduction_factor
from crosscheck._shadow.torch.operations import (
    ALGORITHMS,
    FUSED,
    REDUCTIONS,
    decomposition,
    is_dense_float,
    is_exact,
    mapped,
    plan_of,
    summed,
    tensors_in,
    written_by,
)


class Rounding(Mode):
    """Runs operations on float64 tensors and imitates the rounding of each; a fused one is run step by step."""

    def __init__(self, noise: Noise, opaque: set[str]) -> None:
        super().__init__()
        self._unit = noise.unit
        self._seed = noise.seed
        self._generators: dict[Any, Any] = {}
        self._opaque = opaque

    def noisy(self, value: Any, width: float = 1.0) -> Any:
        """Float tensors with a relative error; other objects unchanged."""
        return value * self._factors(value, width) if is_dense_float(value) else value

    def spoil(self, value: Any) -> Any:
        """The same in place."""
        return value.mul_(self._factors(value, 1.0)) if is_dense_float(value) else value

    def _factors(self, value: Any, width: float) -> Any:
        generator = self._generators.get(value.device)
        if generator is None:
            generator = self._generators[value.device] = torch.Generator(value.device).manual_seed(self._seed)
        error = width * self._unit
        draws = torch.empty(value.shape, dtype=torch.float64, device=value.device)
        return draws.uniform_(1 - error, 1 + error, generator=generator)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        plan = plan_of(func)
        if plan.composite:
            with self:
                return func.decompose(*args, **kwargs)
        if plan.view or plan.drawn or is_exact(plan, args, kwargs):
            return func(*args, **kwargs)
        if plan.functional is not None:
            return args[0].copy_(self.run(plan.functional, args, kwargs))
        if plan.written and plan.name not in FUSED:
            result = func(*args, **kwargs)
            for value in written_by(plan, args, kwargs):
                self.spoil(value)
            return result
        count = summed(plan, args, kwargs)
        if count is None and (steps := decomposition(func)):
            try:
                with self:
                    return steps(*args, **kwargs)
            except Exception:  # torch's decompositions do not cover every argument
                self._opaque.add(plan.name)
        if count is not None and count > 1:
            args = mapped(lambda value: self.noisy(value, reduction_factor(count)), args)
        result = func(*args, **kwargs)
        algorithm = plan.name.startswith(ALGORITHMS) and plan.name != "linalg_vector_norm"
        if algorithm or (count is None and not plan.pointwise and any(map(is_dense_float, tensors_in(result)))):
            self._opaque.add(plan.name)
        if count is not None and count <= 1 and plan.name in REDUCTIONS - {"norm", "std", "linalg_vector_norm"}:
            return result
        # Results that nothing else holds, so that they may be changed; an algorithm may return views of its other results.
        return self.spoil(result) if isinstance(result, torch.Tensor) else mapped(self.noisy, result)
