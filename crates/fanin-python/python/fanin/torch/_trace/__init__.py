"""What `fanin.torch.trace_init` is made of: the recorder of writes, and the table, recipe and replay that are computed from it."""
