"""The context manager `sharded_init`. Inside it, a module's own initialization code gets its values from fanin's native stream."""

from .init import sharded_init as sharded_init
