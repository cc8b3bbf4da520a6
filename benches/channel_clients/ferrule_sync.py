"""Ferrule's blocking channel."""

from channel_clients import load
from ferrule.channel.sync import insecure_channel, secure_channel
from ferrule.tls import TLSConfig


def open_client(target: str, certificate: str | None) -> load.SyncClient:
    """Open a channel of Ferrule's defaults."""
    if certificate is None:
        return load.SyncClient.over(insecure_channel(target))
    return load.SyncClient.over(secure_channel(target, TLSConfig(ca=certificate)))


if __name__ == "__main__":
    load.sync_main(open_client)
