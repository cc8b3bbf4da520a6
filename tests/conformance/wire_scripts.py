"""What the scripted peer can answer, one script per event on the wire, named as in the method `/t/NAME-ARGUMENT`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Awaitable, Callable, Sequence

from conformance.wire_server import Header, Script, Stream

MESSAGES: dict[str, bytes] = {
    "utf8": b"%E2%98%BA ok%21",
    "bad": b"a%zzb%",
    "trunc": b"a%E2",
    "raw": "\u263a".encode(),
    "ff": b"a%FFb",
    "lower": b"%e2%98%ba",
    "plus": b"a+b%20c",
    "empty": b"",
    "long": b"x" * 6000,
}
"""Values of `grpc-message`."""

CONTENT_TYPES: dict[str, str | None] = {
    "proto": "application/grpc+proto",
    "json": "application/grpc+json",
    "web": "application/grpc-web",
    "text": "text/plain",
    "none": None,
    "upper": "Application/GRPC",
    "param": "application/grpc;v=1",
}

OK: Header = ("grpc-status", "0")
ODD_VALUES: list[Header] = [
    ("dup", "1"),
    ("dup", "2"),
    ("joined", "1,2"),
    ("ws", "  x  "),
    ("hi", b"caf\xc3\xa9"),
    ("latin", b"\xe9"),
    ("empty", ""),
]
BINARY: list[Header] = [("a-bin", "AQID"), ("pad-bin", "AQ=="), ("nopad-bin", "AQ")]
LISTED: Header = ("joined-bin", "AQ,Ag")
NOT_BASE64: Header = ("bad-bin", "!!!")
NAMED_BY_SERVERS: list[Header] = [
    ("grpc-init", "1"),
    ("grpc-accept-encoding", "identity,gzip"),
    ("server", "s"),
    ("date", "d"),
    ("via", "v"),
]
ODD_TRAILERS: list[Header] = [
    OK,
    ("t-bin", "AAECAw"),
    ("grpc-status-details-bin", "CAMSAW0"),
    ("grpc-foo", "1"),
    ("date", "x"),
]
DETAILED_ERROR: list[Header] = [
    ("grpc-status", "3"),
    ("grpc-message", "m"),
    ("grpc-status-details-bin", "CAMSAW0"),
    ("x-t", "1"),
    ("grpc-retry-pushback-ms", "10"),
    ("grpc-tags-bin", "AQ"),
]


async def respond(
    stream: Stream,
    initial: Sequence[Header] = (),
    messages: Sequence[bytes] = (b"pong",),
    flag: int = 0,
    trailers: Sequence[Header] = (OK,),
) -> None:
    """A response that is whole as far as HTTP/2 goes."""
    stream.headers(*initial)
    for message in messages:
        await stream.message(message, flag)
    stream.trailers(*trailers)


def response(
    *initial: Header,
    messages: Sequence[bytes] = (b"pong",),
    flag: int = 0,
    trailers: Sequence[Header] = (OK,),
    early: bool = False,
) -> Script:
    return Script(lambda stream: respond(stream, initial, messages, flag, trailers), early)


def headers_only(*headers: Header, status: str = "200", early: bool = False) -> Script:
    async def answer(stream: Stream) -> None:
        stream.headers(*headers, status=status, end=True)

    return Script(answer, early)


def encoded(encoding: str, payload: bytes, flag: int = 1) -> Script:
    return response(("grpc-encoding", encoding), messages=[payload], flag=flag)


SCRIPTS: dict[str, Script] = {
    "ok": response(),
    "unknown": headers_only(("grpc-status", "12"), ("grpc-message", "no such case")),
    "http503_status5": headers_only(("grpc-status", "5"), ("grpc-message", "nf"), status="503"),
    # Statuses and numbers of messages.
    "trailers_only": headers_only(("grpc-status", "7"), ("grpc-message", "nope"), ("x-meta", "v")),
    "trailers_only_ok": headers_only(OK, ("x-meta", "v")),
    "no_status": response(trailers=[("x-t", "1")]),
    "zero_msgs": response(messages=[]),
    "two_msgs": response(messages=[b"one", b"two"]),
    "msg_and_error": response(trailers=[("grpc-status", "9"), ("grpc-message", "fp")]),
    "early_trailers": headers_only(("grpc-status", "8"), ("grpc-message", "early"), early=True),
    "early_ok_resp": response(early=True),
    # Metadata.
    "md_bin": response(*BINARY, LISTED, NOT_BASE64, ("empty-bin", ""), *ODD_VALUES, trailers=ODD_TRAILERS),
    "md_ok": response(
        *BINARY, ("empty-bin", ""), *ODD_VALUES, *NAMED_BY_SERVERS, trailers=[*ODD_TRAILERS, ("grpc-message", "")]
    ),
    "details": response(messages=[], trailers=DETAILED_ERROR),
    "md_joined": response(LISTED),
    "md_bad": response(NOT_BASE64),
    "md_upper": response(("Upper", "x")),
    "md_bad_trailer": response(trailers=[OK, NOT_BASE64]),
    # Framing and compression.
    "flag1_noenc": response(flag=1),
    "flag1_identity": encoded("identity", b"pong"),
    "gz": encoded("gzip", gzip.compress(b"pong" * 100)),
    "gz_corrupt": encoded("gzip", b"notgzip"),
    "gz_flag0": encoded("gzip", b"pong", flag=0),
    "deflate": encoded("deflate", zlib.compress(b"pong" * 100)),
    "rawdeflate": encoded("deflate", zlib.compress(b"pong" * 100, wbits=-zlib.MAX_WBITS)),
    "enc_unknown": encoded("br", b"pong"),
    "enc_unknown_flag0": encoded("br", b"pong", flag=0),
    "flag2": response(flag=2),
}


def script(answer: Callable[[Stream], Awaitable[None]]) -> None:
    SCRIPTS[answer.__name__] = Script(answer)


@script
async def never(stream: Stream) -> None:
    """Sends nothing at all."""


@script
async def http(stream: Stream) -> None:
    stream.headers(status=stream.argument, content_type="text/html")
    await stream.data(b"<html>no</html>", end=True)


@script
async def httpend(stream: Stream) -> None:
    stream.headers(status=stream.argument, content_type=None, end=True)


@script
async def info103(stream: Stream) -> None:
    stream.headers(("link", "x"), status="103", content_type=None)
    stream.connection.flush()
    await respond(stream)


@script
async def ctype(stream: Stream) -> None:
    stream.headers(content_type=CONTENT_TYPES[stream.argument])
    await stream.message(b"pong")
    stream.trailers(OK)


@script
async def status(stream: Stream) -> None:
    await respond(stream, [("x-init", "i")], [], trailers=[("grpc-status", stream.argument), ("grpc-message", "m")])


@script
async def gmsg(stream: Stream) -> None:
    await respond(stream, messages=[], trailers=[("grpc-status", "3"), ("grpc-message", MESSAGES[stream.argument])])


@script
async def bighdr(stream: Stream) -> None:
    await respond(stream, [("big", "x" * int(stream.argument))])


@script
async def bigtrl(stream: Stream) -> None:
    await respond(stream, trailers=[OK, ("big", "x" * int(stream.argument))])


@script
async def big(stream: Stream) -> None:
    await respond(stream, messages=[b"y" * int(stream.argument)])


@script
async def bomb(stream: Stream) -> None:
    await respond(stream, [("grpc-encoding", "gzip")], [gzip.compress(bytes(int(stream.argument)))], flag=1)


@script
async def trunc_msg(stream: Stream) -> None:
    stream.headers()
    await stream.data(b"\0\0\0\0\4po")
    stream.trailers(OK)


@script
async def trunc_prefix(stream: Stream) -> None:
    stream.headers()
    await stream.data(b"\0\0")
    stream.trailers(OK)


@script
async def end_no_trailers(stream: Stream) -> None:
    stream.headers()
    await stream.data(b"\0\0\0\0\4pong", end=True)


@script
async def rst(stream: Stream) -> None:
    stream.reset(int(stream.argument))


@script
async def rst_after(stream: Stream) -> None:
    stream.headers(("x-init", "1"))
    await stream.message(b"pong")
    stream.reset(int(stream.argument))


@script
async def refuse_once(stream: Stream) -> None:
    if stream.attempt == 1:
        stream.reset(7)
    else:
        await respond(stream)


@script
async def goaway0(stream: Stream) -> None:
    if stream.attempt == 1:
        stream.go_away(0, b"bye", last_stream=0)
    else:
        await respond(stream)


@script
async def goaway_calm(stream: Stream) -> None:
    stream.go_away(11, b"too_many_pings", last_stream=stream.number)


@script
async def goaway_int_last(stream: Stream) -> None:
    stream.go_away(2, b"boom", last_stream=stream.number)


@script
async def drop(stream: Stream) -> None:
    stream.connection.transport.abort()


@script
async def drop_after_headers(stream: Stream) -> None:
    stream.headers()
    await stream.message(b"pong")
    stream.connection.close()
