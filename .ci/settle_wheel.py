"""Makes a wheel that maturin built depend on its source alone.

Run: python .ci/settle_wheel.py WHEEL

maturin puts a bill of materials (SBOM) into the wheel that has a random number, the time of the build, and the folder
of the build in the names of the crates that lie there. The wheel is written again with the number made from the
contents, the time of SOURCE_DATE_EPOCH, and names without the folder.
"""

import base64
import hashlib
import json
import os
import re
import sys
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path

# cargo's names of crates that lie in folders, and the places of these in package URLs.
FOLDER = re.compile(r"path\+file://[^\"#]*/(?P<crate>[^/\"#]+)#")
PLACE = re.compile(r"\?download_url=file://[^\"#]*")


def settled_sbom(text: str, epoch_seconds: int) -> str:
    """The bill of materials without what differs between two builds of the same source."""
    document = json.loads(PLACE.sub("", FOLDER.sub(r"path+\g<crate>#", text)))
    document["metadata"]["timestamp"] = datetime.fromtimestamp(epoch_seconds, UTC).isoformat()
    document["serialNumber"] = ""
    contents = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, contents).urn
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def record_line(name: str, contents: bytes) -> str:
    """What a wheel's RECORD says of a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(contents)}"


def settle(wheel: Path, epoch_seconds: int) -> None:
    """Writes the wheel again in place."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    # Before 1980 there is no time in a zip archive.
    moment = datetime.fromtimestamp(max(epoch_seconds, 315532800), UTC).timetuple()[:6]
    lines: list[str] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        # RECORD comes last, as wheels have it.
        for entry, before in sorted(entries, key=lambda pair: (pair[0].filename.endswith("/RECORD"), pair[0].filename)):
            contents = before
            if "/sboms/" in entry.filename:
                contents = settled_sbom(before.decode(), epoch_seconds).encode()
            if entry.filename.endswith(".dist-info/RECORD"):
                contents = "".join(f"{line}\n" for line in [*lines, f"{entry.filename},,"]).encode()
            lines.append(record_line(entry.filename, contents))
            copied = zipfile.ZipInfo(entry.filename, moment)
            copied.external_attr = entry.external_attr
            copied.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(copied, contents)


if __name__ == "__main__":
    settle(Path(sys.argv[1]), int(os.environ["SOURCE_DATE_EPOCH"]))
