"""Programs of plugins on many machines: known by their SHA-256, and brought to the nodes that lack them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import BinaryIO

from ferrule._executable import find_program, search_path
from ferrule._paths import rooted
from ferrule.errors import ConfigError, LaunchError, SecurityError
from ferrule.pool.key import key_of
from ferrule.pool.spec import PluginSpec

__all__ = ["CHUNK_BYTES", "BinaryStore", "MissingProgram", "Program", "ShippedSpec", "chunks_of", "prepare", "ship"]

CHUNK_BYTES = 64 * 2**20
"""Bytes of a program that are in memory at once, on either side."""


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A program's file as the driver has it."""

    path: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class ShippedSpec:
    """A spec on its way to a node, with what its program must be there, and the key that its tasks are routed by."""

    spec: PluginSpec
    program: Program
    key: bytes


class MissingProgram(Exception):  # noqa: N818 - asks for the program, and is answered with it.
    """The node has no file with this hash."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.program = program


class _Hashes:
    """SHA-256s of files, each made once as long as its file stays as it is."""

    def __init__(self) -> None:
        self._hash_by_identity: dict[tuple[str, int, int, int, int], str] = {}

    def of(self, path: Path) -> str:
        """The hash of a file."""
        status = path.stat()
        identity = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        found = self._hash_by_identity.get(identity)
        if found is None:
            with path.open("rb") as file:
                found = self._hash_by_identity[identity] = file_digest(file, "sha256").hexdigest()
        return found


_HASHES = _Hashes()


class BinaryStore:
    """A directory on each node for programs that the node does not have.

    A program is looked for by its SHA-256, and comes through Ray's object store where it is missing: once per node, in
    chunks of 64 MiB. It is written under another name, flushed to the disk, checked, made executable for its owner
    alone, and renamed. Its file keeps the program's base name. Only the program's own file travels: a script's
    interpreter, libraries and arguments do not.

    Args:
        directory: Where; made on each node if it is missing. Only the user that runs Ray should be able to write there.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._storing: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"BinaryStore({str(self.directory)!r})"

    def __reduce__(self) -> tuple[type[BinaryStore], tuple[str]]:
        # Of what a node has, another node knows nothing.
        return BinaryStore, (str(self.directory),)

    def path_of(self, program: Program) -> Path:
        """The place of a program's file, whether it is there or not."""
        # Absolute: a plugin may have another working directory than the node.
        return Path(rooted(self.directory)) / program.sha256 / Path(program.path).name

    async def find(self, program: Program) -> Path | None:
        """The file of a program, hashed whenever it has changed; None if it is missing, another, or cannot be run."""
        path = self.path_of(program)
        return path if await asyncio.to_thread(_is_program, path, program.sha256) else None

    async def store(self, program: Program, chunks: Iterable[Awaitable[bytes]]) -> None:
        """Writes a program's file; those who ask at the same time wait for the one who writes.

        Raises:
            SecurityError: The chunks are not of that program.
            LaunchError: The directory cannot be written, or is full.
        """
        storing = self._storing.get(program.sha256)
        if storing is None:
            work = self._store(program, chunks)
            storing = self._storing[program.sha256] = asyncio.get_running_loop().create_task(work)
            storing.add_done_callback(lambda _: self._storing.pop(program.sha256))
        await asyncio.shield(storing)

    async def _store(self, program: Program, chunks: Iterable[Awaitable[bytes]]) -> None:
        try:
            await self._write(program, chunks)
        except OSError as error:
            message = f"the program {self.path_of(program)} cannot be written on this node: {error.strerror or error}"
            hint = "BinaryStore needs a directory with room in which Ray's user may write."
            raise LaunchError(message, hint, "ray.not-stored") from None

    async def _write(self, program: Program, chunks: Iterable[Awaitable[bytes]]) -> None:
        if await self.find(program) is not None:
            return
        path = self.path_of(program)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            digest = sha256()
            with partial.open("xb") as file:
                for chunk in chunks:
                    data = await chunk
                    await asyncio.to_thread(_append, file, digest.update, data)
                await asyncio.to_thread(_flush, file)
            _check(digest.hexdigest(), program, path)
            partial.chmod(0o500)
            await asyncio.to_thread(_put_in_place, partial, path, program)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()


def _put_in_place(partial: Path, path: Path, program: Program) -> None:
    """Gives a file its name, unless another process did so first: its plugins run from that file."""
    try:
        path.hardlink_to(partial)
    except OSError:
        if not _is_program(path, program.sha256):
            partial.rename(path)


def _append(file: BinaryIO, update: Callable[[bytes], None], data: bytes) -> None:
    file.write(data)
    update(data)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check(found: str, program: Program, path: Path) -> None:
    if found != program.sha256:
        message = (
            f"the program {path} has the SHA-256 {found} on this node, expected {program.sha256}; it was not started"
        )
        hint = "Bring the driver's program to all nodes, or use BinaryStore, which does."
        raise SecurityError(message, hint, "ray.binary-differs")


def _is_program(path: Path, expected: str) -> bool:
    try:
        return _HASHES.of(path) == expected and os.access(path, os.X_OK)
    except OSError:
        # Whatever it is, it is written anew.
        return False


def chunks_of(program: Program) -> Iterator[bytes]:
    """The file of a program, in pieces."""
    with Path(program.path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def ship(spec: PluginSpec) -> ShippedSpec:
    """A spec with the hash of its program, as the driver has it.

    Raises:
        LaunchError: The driver has no such program.
        ConfigError: A runner starts the plugin.
    """
    config = spec.config
    if config.runner is not None:  # type: ignore[union-attr]
        hint = "Start the program itself on the nodes, or use a PluginPool on one machine."
        raise ConfigError(f"plugin {spec.name!r} has a runner, which cannot go to nodes", hint, "ray.runner")
    path = find_program(os.fspath(spec.command[0]), config.cwd, search_path(config.env))  # type: ignore[union-attr]
    try:
        found = _HASHES.of(Path(path))
    except OSError as error:
        message = f"the checksum of the plugin {path} cannot be computed: {error.strerror}"
        raise LaunchError(message, "The driver must have the program, and may read it.", "launch.refused") from None
    return ShippedSpec(spec, Program(path, found), key_of(spec) + bytes.fromhex(found))


async def prepare(shipped: ShippedSpec, store: BinaryStore | None) -> PluginSpec:
    """The spec for the node that this runs on.

    Raises:
        MissingProgram: The node's store has no such program.
        SecurityError: The node's own program has another hash.
        LaunchError: The node has no such program.
    """
    spec, program = shipped.spec, shipped.program
    if store is not None:
        path = await store.find(program)
        if path is None:
            raise MissingProgram(program)
        return dataclasses.replace(spec, command=[path, *spec.command[1:]])
    config = spec.config
    local = Path(find_program(os.fspath(spec.command[0]), config.cwd, search_path(config.env)))  # type: ignore[union-attr]
    _check(await asyncio.to_thread(_HASHES.of, local), program, local)
    return spec
