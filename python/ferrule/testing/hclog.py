"""Log lines in the format of Go plugins: one JSON object per line on file descriptor 2."""

import contextlib
import datetime
import json
import os


def log(level: str, message: str, **values: object) -> None:
    """Writes one line.

    Args:
        level: `trace`, `debug`, `info`, `warn` or `error`.
        message: The message.
        **values: Further keys of the object. Values that JSON cannot express are written as text.
    """
    # Exactly six fraction digits: with any other number a Go host takes the whole line for plain text.
    timestamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    entry = {"@level": level, "@message": message, "@module": "ferrule.testing", "@timestamp": timestamp, **values}
    encoded = json.dumps(entry, sort_keys=True, separators=(",", ":"), default=str)
    # A host that is gone has closed the pipe. A lost line is better than an error in the call that logs.
    with contextlib.suppress(OSError):
        os.write(2, encoded.encode() + b"\n")
