"""The implementation of `fanin.torch.check_init`: it builds a module with byte patterns in new memory, and compares the builds."""
