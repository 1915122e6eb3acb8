"""The implementation of `fanin.torch.trace_init`: it records writes to tensors, and shows them as a table, a recipe or a replay."""
