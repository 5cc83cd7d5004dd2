"""The operations of JAX by how they round."""

# ruff: noqa: SIM905 - a list would take a line a name

EXACT = frozenset(
    """
    abs and approx_top_k argmax argmin bitcast broadcast_in_dim broadcast_to ceil clamp clz
    complex concatenate conj copy create_token cummax cummin device_put dimension_size dynamic_slice
    dynamic_update_slice empty empty2 eq eq_to floor freeze freeze_ref gather ge get gt imag iota is_finite
    layout_constraint le le_to lt lt_to lu_pivots_to_permutation max min name ne neg new_ref not
    optimization_barrier or pad platform_index population_count random_bits random_clone
    random_fold_in random_seed random_split random_unwrap random_wrap real reduce_and reduce_max reduce_min
    reduce_or reduce_xor reduce_window_max reduce_window_min rem reshape reshard rev rng_bit_generator round
    select_and_gather_add select_n sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign
    slice sort split squeeze stack stop_gradient swap threefry2x32 tile top_k transpose unstack xor
    """.split()
)
"""Operations that do not round: moves of data, choices among values, comparisons, and arithmetic on integers only."""

ROUNDED = frozenset(
    """
    acos acosh add add_any addupdate asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt cos cosh digamma div erf
    erf_inv erfc exp exp2 expm1 igamma igamma_grad_a igammac integer_pow lgamma log log1p log2 logistic mul
    one_minus_square polygamma pow random_gamma_grad regularized_incomplete_beta rsqrt sin sinh sqrt square sub tan tanh zeta
    """.split()
)
"""Operations that round once for each element, as noise does."""

OPAQUE = frozenset(
    """
    cholesky cholesky_update eig eigh fft geqp3 geqrf hessenberg householder_product lu qr schur svd
    symmetric_product triangular_solve tridiagonal tridiagonal_solve
    """.split()
)
"""Operations that round often, in a library: they run in float64, and noise is added to operands and results."""

BITWISE = frozenset(["bitcast_convert_type", "nextafter"])
"""Operations that depend on the layout of a dtype: they run in the narrow dtype, and have no rounding errors."""
