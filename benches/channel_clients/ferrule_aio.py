"""Ferrule's asyncio channel."""

from channel_clients import load
from ferrule.channel import insecure_channel, secure_channel
from ferrule.tls import TLSConfig


def open_client(target: str, certificate: str | None) -> load.AsyncClient:
    """Open a channel of Ferrule's defaults."""
    if certificate is None:
        return load.AsyncClient.over(insecure_channel(target))
    return load.AsyncClient.over(secure_channel(target, TLSConfig(ca=certificate)))


if __name__ == "__main__":
    load.main(open_client)
