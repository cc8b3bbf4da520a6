"""gRPC's frames, and the broker's only message, by hand: plugin.ConnInfo of go-plugin's grpc_broker.proto."""

from __future__ import annotations

PREFIX_BYTES = 5
KNOCK_FIELD = 0x22
BROKERED_ID = 7
"""The id under which the plugin serves by its broker."""


def message(payload: bytes) -> bytes:
    """A message in gRPC's frame."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The messages that are complete, and what is left."""
    found = []
    while len(data) >= PREFIX_BYTES and len(data) >= (
        end := PREFIX_BYTES + int.from_bytes(data[1:PREFIX_BYTES], "big")
    ):
        found.append(data[PREFIX_BYTES:end])
        data = data[end:]
    return found, data


def announcement(number: int, network: str, address: str) -> bytes:
    """A ConnInfo that says where an id is served; numbers below 128 only."""
    texts = [(0x12, network.encode()), (0x1A, address.encode())]
    return bytes((0x08, number)) + b"".join(bytes((tag, len(text))) + text for tag, text in texts)


def knocked(info: bytes) -> bool:
    """Whether a ConnInfo is a knock of the host's: an id, and a message with the field `knock`."""
    return bytes((KNOCK_FIELD, 2, 0x08, 1)) in info


def acknowledgement(knock: bytes, *, refused: bool) -> bytes:
    """The answer to a knock: of the same id."""
    number = knock[: knock.index(KNOCK_FIELD)]
    answer = b"\x08\x01\x10\x01" + (b"\x1a\x04busy" if refused else b"")
    return number + bytes((KNOCK_FIELD, len(answer))) + answer
