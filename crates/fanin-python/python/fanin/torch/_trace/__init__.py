"""The implementation of `fanin.torch.trace_init`: it records writes to tensors, and converts them to a table, a recipe or a replay."""
