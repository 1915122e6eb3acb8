"""The implementation of `fast_init(defer=True)`: fills are delayed until something reads the tensor."""
