"""Deferred fills, for `fast_init(defer=True)`."""
