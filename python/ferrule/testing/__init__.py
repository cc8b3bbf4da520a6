"""A small real go-plugin plugin, for testing a host without a Go toolchain.

The plugin is a process that checks its cookie, prints a handshake line, speaks gRPC with or without mutual TLS, and
ends on request. Mode words make the plugin misbehave; `python -m ferrule.testing --help` lists them.

The plugin serves `kv.KV` of `kv.proto`, whose messages are in `ferrule.testing.kv_pb2`.

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
"""Name of the environment variable that the plugin checks first."""

COOKIE_VALUE = "5f1d0a86-ferrule-kv"
"""Value that the plugin expects in `COOKIE_KEY`; identification, no secret."""

KV_CONFIG: dict[str, Any] = {
    "magic_cookie_key": COOKIE_KEY,
    "magic_cookie_value": COOKIE_VALUE,
    "protocol_versions": (1,),
}
"""Client settings for the plugin that `plugin_command()` starts."""


def plugin_command(*mode_words: str) -> list[str]:
    """The command line that starts the plugin with this interpreter.

    Args:
        *mode_words: Deviations from a well-behaved plugin, such as `tcp`, `versions=3,5` or `ignore-shutdown`; default
            none. An unknown word ends the plugin with exit status 2.

    Returns:
        The program and its arguments, without a shell in between.

    Example:
        >>> plugin_command()[1:]
        ['-m', 'ferrule.testing']
    """
    return [sys.executable, "-m", "ferrule.testing", *mode_words]


def __getattr__(name: str) -> Any:
    # The stub imports grpc and protobuf, 80 ms that a plugin whose cookie is missing must not spend.
    if name == "KVStub":
        from ferrule.testing.kv_pb2_grpc import KVStub

        return KVStub
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
