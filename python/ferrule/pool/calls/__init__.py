"""The calls of a pool: a channel to one plugin that counts its calls, and knows which may be made again elsewhere.

The calls themselves are those of `ferrule.channel`. Below them stand, in place of the core's channel and calls,
`PluginCalls` and `PooledCall`: they see each call begin and end, hold it back, and pass it to another plugin.
"""

from ferrule.pool.calls.call import PooledCall
from ferrule.pool.calls.channel import PooledChannel
from ferrule.pool.calls.interfaces import Replacements
from ferrule.pool.calls.plugin_calls import PluginCalls

__all__ = ["PluginCalls", "PooledCall", "PooledChannel", "Replacements"]
