"""The context manager `sharded_init`, inside which a module's own initialization code writes values of the native stream."""

from .init import sharded_init as sharded_init
