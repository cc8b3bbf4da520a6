"""grpcio's asyncio channel: what every ratio of an asyncio client refers to."""

import grpc
import grpc.aio

from channel_clients import load

# A Unix socket has no host name that the certificate could carry.
OPTIONS = [("grpc.ssl_target_name_override", "localhost")]


def open_client(target: str, certificate: str | None) -> load.AsyncClient:
    """Open a channel of grpcio's defaults."""
    if certificate is None:
        return load.AsyncClient.over(grpc.aio.insecure_channel(target))
    credentials = grpc.ssl_channel_credentials(certificate.encode())
    return load.AsyncClient.over(grpc.aio.secure_channel(target, credentials, OPTIONS))


if __name__ == "__main__":
    load.main(open_client)
