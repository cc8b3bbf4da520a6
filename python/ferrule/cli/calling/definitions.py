"""Where the definitions of a plugin's services come from: the plugin itself, or files."""

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from ferrule.errors import ConfigError, ProtocolError
from ferrule.reflection import ServerReflection
from ferrule.reflection.definitions import Definitions
from ferrule.reflection.files import FileDefinitions, files_in

__all__ = ["definitions_of", "given_files"]

COMPILE_SECONDS: Final = 60.0


def given_files(options: argparse.Namespace) -> list[FileDescriptorProto]:
    """The files that the options name, compiled; none if they name none.

    Raises:
        ConfigError: A file cannot be read or compiled, or is something else.
    """
    files = [file for name in options.descriptor_set for file in files_in(_content(name), name)]
    if options.proto:
        files += files_in(_compiled(options.proto, options.proto_path), "what protoc wrote")
    return files


async def definitions_of(channel: Any, files: list[FileDescriptorProto]) -> Definitions:
    """The definitions out of these files, or without any the plugin's own.

    Raises:
        ProtocolError: The plugin does not describe itself.
    """
    if files:
        return FileDefinitions(channel, files)
    reflection = ServerReflection(channel)
    try:
        await reflection.services()
    except ProtocolError as error:
        raise ProtocolError(
            error.message,
            hint="Give its definitions: --descriptor-set FILE, as `protoc --include_imports --descriptor_set_out=FILE` "
            "and `buf build -o FILE.binpb` write it, or --proto FILE.",
            code=error.code,
        ) from error
    return reflection


def _content(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}", code="config.invalid") from None


def _compiled(protos: Iterable[str], places: Iterable[str]) -> bytes:
    """The descriptor set of .proto files."""
    protos = list(protos)
    places = list(places) or sorted({str(Path(name).parent) for name in protos})
    with tempfile.TemporaryDirectory(prefix="ferrule-") as directory:
        target = Path(directory, "set.binpb")
        command = [*_protoc(), "--include_imports", f"--descriptor_set_out={target}"]
        command += [*(f"--proto_path={place}" for place in places), *protos]
        try:
            done = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMPILE_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"protoc did not run: {error}", code="config.invalid") from None
        if done.returncode:
            complaint = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
            raise ConfigError(f"protoc refuses {', '.join(protos)}: {complaint}", code="config.invalid")
        return _content(str(target))


def _protoc() -> list[str]:
    if program := shutil.which("protoc"):
        return [program]
    if importlib.util.find_spec("grpc_tools"):
        return [sys.executable, "-m", "grpc_tools.protoc"]
    raise ConfigError(
        "--proto needs protoc, which is not on PATH",
        hint="`pip install grpcio-tools` brings one; --descriptor-set needs none.",
        code="config.invalid",
    )
