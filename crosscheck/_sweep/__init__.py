"""Every input of a dtype judged against a proven truth: piece by piece, merged in any order, resumed after any end."""
