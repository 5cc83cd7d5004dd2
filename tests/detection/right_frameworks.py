"""What both frameworks ship, where it is right: pairs of the corpus that agree, with another seed."""

from pairs import right_activations, right_modules

from detection.right import Same

RIGHT = [
    Same(
        name=pair.name,
        kind="what both frameworks ship",
        torch=pair.torch,
        jax=pair.jax,
        make=lambda seed, shape, make=pair.make: make(),
        dtypes=(pair.dtype,),
        seeds=(7,),
        order=pair.order,
        options=pair.options,
    )
    for pair in (*right_activations.PAIRS, *right_modules.PAIRS)
]
