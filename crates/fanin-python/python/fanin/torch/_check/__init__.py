"""The implementation of `fanin.torch.check_init`: it builds a module with different bytes in new memory, and compares the builds."""
