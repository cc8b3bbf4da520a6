"""The wire cases: what a client is told to do, and the script that it meets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from conformance.wire_scripts import CONTENT_TYPES, MESSAGES

PATIENCE = 5.0
"""Seconds that a call may take where its deadline is not the point."""

OVER_LIMIT = 4 * 1024 * 1024 + 1
"""Bytes: one more than a channel accepts in a message unless told otherwise."""

ALGORITHM = "grpc.default_compression_algorithm"


@dataclass(frozen=True)
class Case:
    """One client, one call or more, and what is compared afterwards."""

    name: str
    script: str = "ok"
    target: str | None = None
    """Where nobody serves. `None`: the scripted peer."""
    unix: bool = False
    streaming: bool = False
    request: Any = b"ping"
    calls: int = 1
    options: tuple[tuple[str, Any], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"timeout": PATIENCE})
    """Of the call, beside the request."""


def http_statuses() -> Iterator[Case]:
    for status in (200, 301, 400, 401, 403, 404, 408, 413, 429, 431, 500, 502, 503, 504):
        yield Case(f"http {status} +html body", f"http-{status}")
    for status in (503, 404):
        yield Case(f"http {status} headers-only", f"httpend-{status}")
    yield Case("http 503 with grpc-status 5", "http503_status5")
    for content_type in CONTENT_TYPES:
        yield Case(f"content-type {content_type}", f"ctype-{content_type}")
    yield Case("1xx then response", "info103")
    yield Case("unknown path", "none_such")


def resets() -> Iterator[Case]:
    for code in range(14):
        yield Case(f"RST {code} before headers", f"rst-{code}")
    for code in (0, 2, 7, 8, 11):
        yield Case(f"RST {code} after headers+message (unary)", f"rst_after-{code}")
    for code in (0, 2, 7, 8):
        yield Case(f"RST {code} after headers+message (stream)", f"rst_after-{code}", streaming=True)
    yield Case("RST 8 after deadline? (timeout=0.2, never)", "never", arguments={"timeout": 0.2})
    yield Case("REFUSED_STREAM once, then OK (unary)", "refuse_once")


def statuses() -> Iterator[Case]:
    ends = (
        "trailers_only",
        "trailers_only_ok",
        "no_status",
        "end_no_trailers",
        "zero_msgs",
        "two_msgs",
        "msg_and_error",
    )
    for script in ends:
        # grpcio answers the second message of a unary call with silence until the deadline.
        timeout = 0.5 if script == "two_msgs" else PATIENCE
        yield Case(f"{script} (unary)", script, arguments={"timeout": timeout})
        yield Case(f"{script} (stream)", script, streaming=True)
    for value in ("0", "1", "16", "17", "99", "-1", "abc", "007", "", "1.0", "4294967297"):
        yield Case(f"grpc-status {value!r}", f"status-{value}")
    for message in MESSAGES:
        yield Case(f"grpc-message {message}", f"gmsg-{message}")
    yield Case("server answers trailers before END_STREAM (unary)", "early_trailers", request=b"q" * 300_000)
    yield Case("server answers OK+message before END_STREAM (unary)", "early_ok_resp", request=b"q" * 300_000)


def received_metadata() -> Iterator[Case]:
    yield Case("metadata binary/dup/odd", "md_bin")
    for script in ("md_ok", "details", "md_joined", "md_bad", "md_upper", "md_bad_trailer"):
        yield Case(f"metadata {script}", script)
    for size in (4000, 8000, 12000, 15000, 17000, 40000):
        yield Case(f"initial metadata value of {size} bytes", f"bighdr-{size}")
    for size in (7000, 9000, 17000):
        yield Case(f"trailing metadata value of {size} bytes", f"bigtrl-{size}")


def messages() -> Iterator[Case]:
    compressed = ("flag1_noenc", "flag1_identity", "gz", "deflate", "rawdeflate", "enc_unknown", "enc_unknown_flag0")
    for script in (*compressed, "gz_corrupt", "gz_flag0", "flag2", "trunc_msg", "trunc_prefix"):
        yield Case(script, script)
    for size in (OVER_LIMIT - 1, OVER_LIMIT):
        yield Case(f"response of {size} bytes", f"big-{size}")
    unlimited = (("grpc.max_receive_message_length", -1),)
    yield Case(f"response {OVER_LIMIT}, max_receive -1", f"big-{OVER_LIMIT}", options=unlimited)
    yield Case("gzip response inflating to 5 MB", "bomb-5000000")
    yield Case("request of 5 MB, default send limit", request=b"z" * 5_000_000)
    limit = (("grpc.max_send_message_length", 100),)
    yield Case("request over max_send_message_length=100", request=b"z" * 101, options=limit)


def connection_ends() -> Iterator[Case]:
    yield Case("GOAWAY last=0 then close, next try OK", "goaway0")
    yield Case("GOAWAY ENHANCE_YOUR_CALM too_many_pings", "goaway_calm")
    yield Case("GOAWAY INTERNAL last=this", "goaway_int_last")
    yield Case("connection dropped (RST) before headers", "drop")
    yield Case("connection dropped, retries disabled", "drop", options=(("grpc.enable_retries", 0),))
    yield Case("connection closed after message (unary)", "drop_after_headers")
    yield Case("connection closed after message (stream)", "drop_after_headers", streaming=True)


def failing_connects() -> Iterator[Case]:
    refused = "127.0.0.1:1"
    waiting = {"timeout": 0.5, "wait_for_ready": True}
    yield Case("connect refused tcp", target=refused)
    yield Case("no such unix socket", target=f"unix:/tmp/none-{os.getpid()}.sock")
    yield Case("connect refused, wait_for_ready, timeout 0.5", target=refused, arguments=waiting)
    yield Case("bad name", target="dns:///nope.invalid:1")
    yield Case("bad target scheme", target="foo://x")
    yield Case("timeout 0", target=refused, arguments={"timeout": 0})
    yield Case("timeout -1", target=refused, arguments={"timeout": -1})


VALID_METADATA = (("k", "v"), ("k", "w"), ("x-bin", b"\0\1\2\xff"), ("y-bin", b""), ("empty", ""), ("sp", " a b "))

METADATA: dict[str, Any] = {
    "uppercase key": (("Abc", "v"),),
    "space in key": (("a b", "v"),),
    "empty key": (("", "v"),),
    "colon key": ((":path", "/x"),),
    "te": (("te", "x"),),
    "user-agent": (("user-agent", "mine/1"),),
    "content-type": (("content-type", "application/x"),),
    "grpc-timeout": (("grpc-timeout", "1S"),),
    "grpc-foo": (("grpc-foo", "1"),),
    "grpc-encoding": (("grpc-encoding", "br"),),
    "host": (("host", "h"),),
    ":authority": ((":authority", "z"),),
    "connection": (("connection", "close"),),
    "str for -bin": (("x-bin", "text"),),
    "bytes for ascii": (("x", b"abc"),),
    "bytes non-utf8 for ascii": (("x", b"\xff\xfe"),),
    "non-ascii value": (("x", "caf\u00e9"),),
    "newline value": (("x", "a\nb"),),
    "tab value": (("x", "a\tb"),),
    "nul value": (("x", "a\0b"),),
    "int value": (("x", 1),),
    "int key": ((1, "x"),),
    "None value": (("x", None),),
    "bare tuple": ("x", "y"),
    "3-tuple": (("a", "b", "c"),),
    "dict": {"a": "b"},
    "bytes key": ((b"k", "v"),),
    "grpc-trace-bin": (("grpc-trace-bin", b"\0\1"),),
    "big 9000": (("x", "v" * 9000),),
    "big 70000": (("x", "v" * 70000),),
}
"""What a caller may pass as `metadata`, for better or worse."""


def sent(name: str, **fields: Any) -> Case:
    """A case in which the request's headers are compared; without arguments of its own the call has no deadline."""
    return Case(f"SENT {name}", **{"arguments": {}, **fields})


def sent_headers() -> Iterator[Case]:
    yield sent("default")
    yield sent("second call on the connection", calls=2)
    yield sent("unix socket", unix=True)
    yield sent("unix + default_authority", unix=True, options=(("grpc.default_authority", "plugin.local"),))
    agents = (("grpc.primary_user_agent", "me/1"), ("grpc.secondary_user_agent", "you/2"))
    yield sent("user agents", options=agents)
    for timeout in (1e-07, 0.001, 0.0123, 0.5, 1, 10, 99.9, 100, 1000, 5000, 86400, 1e6, 1e8, 1e10):
        yield sent(f"timeout {timeout}", arguments={"timeout": timeout})
    sizes = (("grpc.http2.lookahead_bytes", 1 << 20), ("grpc.max_metadata_size", 65536))
    yield sent("keepalive opts", options=(("grpc.keepalive_time_ms", 1000), *sizes))


def sent_metadata() -> Iterator[Case]:
    yield sent("metadata ok", arguments={"metadata": VALID_METADATA})
    yield sent("metadata list", arguments={"metadata": [("k", "v")]})
    yield sent("metadata Metadata", arguments={"metadata": grpc.aio.Metadata(("k", "v"))})
    for name, metadata in METADATA.items():
        yield sent(f"md {name}", arguments={"metadata": metadata, "timeout": PATIENCE})


def sent_messages() -> Iterator[Case]:
    compressions = {
        "gzip": grpc.Compression.Gzip,
        "deflate": grpc.Compression.Deflate,
        "none": grpc.Compression.NoCompression,
    }
    for name, compression in compressions.items():
        yield sent(f"call compression {name}", request=b"a" * 1000, arguments={"compression": compression})
    yield sent("channel compression gzip", request=b"a" * 1000, options=((ALGORITHM, 2),))
    yield sent("compression gzip tiny", request=b"ab", arguments={"compression": grpc.Compression.Gzip})
    yield sent("bad serializer value (str)", request="text", arguments={"timeout": PATIENCE})
    yield sent("empty request", request=b"")


GROUPS = (
    http_statuses,
    resets,
    statuses,
    received_metadata,
    messages,
    connection_ends,
    failing_connects,
    sent_headers,
    sent_metadata,
    sent_messages,
)

CASES: dict[str, Case] = {case.name: case for group in GROUPS for case in group()}
