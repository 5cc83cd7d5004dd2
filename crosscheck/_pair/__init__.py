"""Any two functions, one of torch and one of JAX, compared without a tolerance: do they agree, and who is wrong?"""
