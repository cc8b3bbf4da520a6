"""grpcio's blocking channel: what every ratio of a blocking client refers to."""

import grpc

from channel_clients import load

# A Unix socket has no host name that the certificate could carry.
OPTIONS = [("grpc.ssl_target_name_override", "localhost")]


def open_client(target: str, certificate: str | None) -> load.SyncClient:
    """Open a channel of grpcio's defaults."""
    if certificate is None:
        return load.SyncClient.over(grpc.insecure_channel(target))
    credentials = grpc.ssl_channel_credentials(certificate.encode())
    return load.SyncClient.over(grpc.secure_channel(target, credentials, OPTIONS))


if __name__ == "__main__":
    load.sync_main(open_client)
