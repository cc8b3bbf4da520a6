"""Files of the control groups that this process is in, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["read_cgroup", "read_text"]


def read_text(path: str) -> str | None:
    """The text of one file of the kernel's; None where there is none, or none that may be read."""
    try:
        return Path(path).read_text().strip()
    except (OSError, ValueError):
        return None


def read_cgroup(controller: str, file: str, root: str = "/") -> Iterator[str]:
    """The text of a file in each group from this process's up to the top, for all of them limit the process.

    Args:
        controller: The controller of version 1, such as `cpu`; version 2 has all of them in one place.
        file: The file's name, such as `pids.max`.
        root: Where `proc` and `sys` are.
    """
    for line in (read_text(f"{root}/proc/self/cgroup") or "").splitlines():
        _, _, names_and_path = line.partition(":")
        names, _, path = names_and_path.partition(":")
        if names == "":
            mounts = ("", "unified/")
        elif controller in names.split(","):
            mounts = (f"{controller}/", f"{names}/")
        else:
            continue
        # In a container without its own namespace for groups, the path is the host's, and the top is the container.
        group = PurePosixPath("/", path)
        for mount in dict.fromkeys(mounts):
            for each in (group, *group.parents):
                text = read_text(f"{root}/sys/fs/cgroup/{mount}{str(each).lstrip('/')}/{file}")
                if text is not None:
                    yield text
