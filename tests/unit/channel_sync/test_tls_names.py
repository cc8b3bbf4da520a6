"""Whom a secure channel believes: by which names, and by whose word if no authorities are given."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Service
from ferrule.channel.sync import secure_channel
from integration.certificates import Identity, issue
from waiting import LIMIT

AUTHORITY = issue("the authority", names=(), authority=True)


@contextlib.contextmanager
def served(identity: Identity, service: Service) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[service])
    credentials = grpc.ssl_server_credentials([(identity.key_pem, identity.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait(LIMIT)


def answer(make: Any, target: str, roots: bytes | None) -> bytes:
    with make(target, grpc.ssl_channel_credentials(roots)) as channel:
        response: bytes = channel.unary_unary("/t/echo")(b"hello", timeout=LIMIT)
        return response


def test_common_name_does_not_count_and_the_error_says_so(service: Service, no_leaks: None) -> None:
    with served(issue("localhost", by=AUTHORITY, names=()), service) as target:
        # The difference that docs/channel.md tells of.
        assert answer(grpc.secure_channel, target, AUTHORITY.certificate_pem) == b"hello"
        with pytest.raises(grpc.RpcError, match=r"no subject alternative name, expected \S*localhost") as refused:
            answer(secure_channel, target, AUTHORITY.certificate_pem)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_wrong_name_is_another_error(service: Service, no_leaks: None) -> None:
    with served(issue("localhost", by=AUTHORITY, names=("other.test",)), service) as target:
        with pytest.raises(grpc.RpcError, match=r"other\.test"):
            answer(secure_channel, target, AUTHORITY.certificate_pem)


def test_authorities_of_the_machine_are_read_where_the_environment_says(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaks: None
) -> None:
    ours, other = tmp_path / "ours.pem", tmp_path / "other.pem"
    ours.write_bytes(AUTHORITY.certificate_pem)
    other.write_bytes(issue("another authority", names=(), authority=True).certificate_pem)
    with served(issue("localhost", by=AUTHORITY), service) as target:
        monkeypatch.setenv("SSL_CERT_FILE", str(ours))
        assert answer(secure_channel, target, None) == b"hello"
        # Read once: what is in the file now is not asked for.
        ours.unlink()
        assert answer(secure_channel, target, None) == b"hello"
        monkeypatch.setenv("SSL_CERT_FILE", str(other))
        with pytest.raises(grpc.RpcError, match="UnknownIssuer"):
            answer(secure_channel, target, None)
