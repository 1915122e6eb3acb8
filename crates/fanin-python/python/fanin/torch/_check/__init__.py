"""What `fanin.torch.check_init` is made of: builds with patterns in unwritten memory, their comparison, and the report."""
