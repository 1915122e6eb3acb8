"""The implementation of `fanin.torch.check_init`, which builds a module several times and compares the builds.

In the first two builds, new memory contains different bytes. Values that depend on unwritten memory therefore differ.
"""
