"""What is asked of a client and what it answers: the one vocabulary of clients, driver and report."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

UNARY = "/bench.Echo/Unary"
STREAM = "/bench.Echo/Stream"

# So long that opening the stream does not count; an order repeats it until its time is over.
STREAM_MESSAGES = 5000

_BINARY_UNITS = {2**20: "MiB", 2**10: "KiB"}


@dataclass(frozen=True)
class Point:
    """One kind of load.

    Attributes:
        call: Whether one message is echoed per call, or one call brings `STREAM_MESSAGES`.
        size: Bytes of a message; of the request and of the response where it is echoed.
        in_flight: How many calls are open at any time, each on a task or a thread of its own.
        sync: Whether the load is for blocking clients.
    """

    call: Literal["unary", "stream"]
    size: int
    in_flight: int = 1
    sync: bool = False

    def __str__(self) -> str:
        unit = next((unit for unit in _BINARY_UNITS if self.size >= unit), 1)
        size = f"{self.size // unit} {_BINARY_UNITS.get(unit, 'B')}"
        return f"{size}, server stream" if self.call == "stream" else f"{size}, {self.in_flight} in flight"


@dataclass(frozen=True)
class Order:
    """A point, the server to load with it, and for how long.

    Attributes:
        point: The load.
        target: The server's address, a gRPC target of the form `unix:PATH`.
        certificate: The PEM certificate to trust; None for plaintext.
        warm_up_s: Seconds of the same load that are not counted.
        measure_s: Seconds of load that are counted; calls open at their end are still waited for.
    """

    point: Point
    target: str
    certificate: str | None
    warm_up_s: float
    measure_s: float

    def to_line(self) -> str:
        """The order as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Order":
        """Read what `to_line` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"point": Point(**fields["point"])})


@dataclass(frozen=True)
class Sample:
    """What one repetition of a point came to. A call is one message where the point is a stream.

    Attributes:
        calls: How many calls were counted.
        cpu_us: User and system time of all threads of the client's process per call, in microseconds.
        p50_us: Median time of a call in microseconds; None for a stream, whose messages come in batches.
        p99_us: The time that one call in a hundred exceeds; None for a stream.
        per_second: Calls per second of wall time.
        switches: Context switches of all threads of the client's process per call.
        peak_rss_mib: The most memory the process has held so far, in MiB.
    """

    calls: int
    cpu_us: float
    p50_us: float | None
    p99_us: float | None
    per_second: float
    switches: float
    peak_rss_mib: float
