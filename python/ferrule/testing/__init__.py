"""A small real go-plugin plugin, to test a host against without a Go toolchain.

The plugin is a process of its own: it checks its cookie, prints a handshake line, speaks gRPC with or without mutual
TLS and ends on request. Mode words make it misbehave: `python -m ferrule.testing --help` lists them.

Its service is `kv.KV` in `kv.proto`; the messages are in `ferrule.testing.kv_pb2`.

Example:
    >>> plugin_command("versions=3,5", "tcp")[1:]
    ['-m', 'ferrule.testing', 'versions=3,5', 'tcp']
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrule.testing.kv_pb2_grpc import KVStub

__all__ = ["COOKIE_KEY", "COOKIE_VALUE", "KV_CONFIG", "KVStub", "plugin_command"]

COOKIE_KEY = "FERRULE_KV_COOKIE"
"""Environment variable the plugin looks for before it does anything else."""

COOKIE_VALUE = "5f1d0a86-ferrule-kv"
"""The value it expects there; identification, not a secret."""

KV_CONFIG: dict[str, Any] = {
    "magic_cookie_key": COOKIE_KEY,
    "magic_cookie_value": COOKIE_VALUE,
    "protocol_versions": (1,),
}
"""Client settings that fit the plugin as `plugin_command()` starts it."""


def plugin_command(*mode_words: str) -> list[str]:
    """The command line that starts the plugin with this interpreter.

    Args:
        *mode_words: Deviations from a well-behaved plugin, such as `tcp`, `versions=3,5` or `ignore-shutdown`; default
            none. A word the plugin does not know ends it with exit status 2.

    Returns:
        The program and its arguments, without a shell in between.

    Example:
        >>> plugin_command()[1:]
        ['-m', 'ferrule.testing']
    """
    return [sys.executable, "-m", "ferrule.testing", *mode_words]


def __getattr__(name: str) -> Any:
    # The stub brings grpc and protobuf, 80 ms of start-up that a plugin ending at its cookie check must not pay.
    if name == "KVStub":
        from ferrule.testing.kv_pb2_grpc import KVStub

        return KVStub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
