"""`ferrule call`: methods of all four kinds, what names mean, and what is said about what goes wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, wrappers_pb2

from ferrule.cli import main
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE, kv_pb2
from peers import go_kv, go_peer
from waiting import LIMIT

KV_OPTIONS = ["--cookie", f"{COOKIE_KEY}={COOKIE_VALUE}", "--protocol-versions", "1"]
UNDESCRIBED = [*KV_OPTIONS, sys.executable, "--arg=-m", "--arg=ferrule.testing", "--arg=no-reflection"]
"""The plugin of ferrule.testing, without reflection."""

pytestmark = pytest.mark.go


class Caller:
    """Calls of the Go plugin, and what they print."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stack: contextlib.ExitStack
    ) -> None:
        self._capsys = capsys
        self._stack = stack
        self._monkeypatch = monkeypatch
        self.err = ""

    def raw(self, *arguments: str, status: int = 0) -> str:
        assert main(["call", *arguments]) == status
        captured = self._capsys.readouterr()
        self.err = captured.err
        return captured.out

    def __call__(self, *arguments: str, status: int = 0) -> list[Any]:
        out = self.raw(*KV_OPTIONS, *go_kv(), *arguments, status=status)
        return [json.loads(line) for line in out.splitlines()]

    def stdin(self, content: bytes, path: Path) -> None:
        """Standard input is a file, which has no events of readiness."""
        path.write_bytes(content)
        self._monkeypatch.setattr("sys.stdin", self._stack.enter_context(path.open()))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    with contextlib.ExitStack() as stack:
        yield Caller(capsys, monkeypatch, stack)


@pytest.mark.parametrize("name", ["kv.KV/Echo", "/kv.KV/Echo", "kv.KV.Echo", "KV/Echo"])
def test_unary(call: Caller, name: str) -> None:
    assert call(name, '{"payload": "YWJj"}') == [{"payload": "YWJj"}]


def test_no_request_is_an_empty_one(call: Caller) -> None:
    assert call("kv.KV/Put") == [{}]


def test_stream_of_responses(call: Caller) -> None:
    assert call("kv.KV/Watch", '{"count": 3, "size": 1}') == [{"payload": "AA=="}] * 3


@pytest.mark.parametrize("count", [0, 2])
def test_stream_of_requests(call: Caller, count: int) -> None:
    assert call("kv.KV/Chat", *['{"payload": "YQ=="}'] * count) == [{"payload": "YQ=="}] * count


def test_stream_of_requests_from_standard_input(call: Caller, tmp_path: Path) -> None:
    call.stdin(b'\xef\xbb\xbf{"payload": "Yg=="}\n\n{"payload": "Yw=="}', tmp_path / "requests")
    assert call("kv.KV/Chat", '{"payload": "YQ=="}', "-") == [{"payload": each} for each in ("YQ==", "Yg==", "Yw==")]


def test_one_request_from_standard_input_has_several_lines(call: Caller, tmp_path: Path) -> None:
    call.stdin(b'{\n"payload":\n"YQ=="}', tmp_path / "request")
    assert call("kv.KV/Echo", "-") == [{"payload": "YQ=="}]


def test_responses_come_while_requests_are_awaited() -> None:
    command = [sys.executable, "-m", "ferrule", "call", *KV_OPTIONS, *go_kv(), "kv.KV/Chat", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for payload in ("YQ==", "Yg=="):
            process.stdin.write(json.dumps({"payload": payload}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"payload": payload}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_leaves_ends_the_stream(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout, os.fdopen(reading) as reader:
        monkeypatch.setattr("sys.stdout", stdout)

        def read_one() -> None:
            assert json.loads(reader.readline()) == {"payload": "AA=="}
            reader.close()

        thread = threading.Thread(target=read_one)
        thread.start()
        assert main(["call", *KV_OPTIONS, *go_kv(), "kv.KV/Watch", '{"count": 4000000000, "size": 1}']) == 0
        thread.join()


def test_metadata_and_limit(call: Caller) -> None:
    options = ["--metadata", "Name=text", "--metadata", "data-bin=AP8=", "--timeout", "20"]
    assert call(*options, "kv.KV/Echo", '{"payload": "YQ=="}') == [{"payload": "YQ=="}]
    assert call("--timeout", "0.001", "kv.KV/Watch", '{"count": 4000000000}', status=1) != [{"payload": ""}]
    assert "failed with DEADLINE_EXCEEDED" in call.err


def test_services_are_listed(call: Caller) -> None:
    text = call.raw(*KV_OPTIONS, *go_kv())
    assert "services (7)\n" in text
    assert "  kv.KV\n    Put(kv.PutRequest) -> kv.PutResponse\n" in text
    assert "    Chat(stream kv.EchoRequest) -> stream kv.EchoResponse\n" in text
    (document,) = call("--json")
    assert document["reflection_error"] is None
    assert {"kv.KV", "plugin.GRPCController"} <= {service["name"] for service in document["services"]}


def test_one_service_is_listed(call: Caller) -> None:
    (document,) = call("--json", "KV")
    assert [service["name"] for service in document["services"]] == ["kv.KV"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["kv.KV/Gte"], "service kv.KV has no method 'Gte'", "Did you mean Get?"),
        (["kv.KV/get"], "service kv.KV has no method 'get'", "Did you mean Get?"),
        (["kv.Kx/Get"], "no service is named 'kv.Kx'", "Did you mean kv.KV?"),
        (["zzz"], "no service or method is named 'zzz'", "There are: grpc.health.v1.Health, "),
        (["kv.K"], "no service or method is named 'kv.K'", "Did you mean kv.KV?"),
        (["Echo"], "no service or method is named 'Echo'", "Did you mean kv.KV/Echo?"),
        (["Ecoh"], "no service or method is named 'Ecoh'", "Did you mean kv.KV/Echo?"),
        (["KV", "{}"], "kv.KV is a service", "name one of its methods"),
        (["kv.KV/Get", "{}", "{}"], "kv.KV/Get takes one request, not 2", ""),
        (["kv.KV/Get", "[]"], "the request is no kv.GetRequest: expected a JSON object", ""),
        ([""], "no service or method is named ''", ""),
        (["kv.KV/Get", '{"kye": ""}'], 'the request is no kv.GetRequest: Message type "kv.GetRequest" has no', "kye"),
        (["kv.KV/Get", "[" * 500 + "]" * 500], "the request is no kv.GetRequest", ""),
        (["kv.KV/Chat", "{}", "3"], "request 2 is no kv.EchoRequest", ""),
        (["kv.KV/Get", '{"key": "x"}'], "kv.KV/Get failed with NOT_FOUND: no value is stored under", ""),
        (
            ["kv.KV/Exit", '{"panic": "oh"}'],
            "failed with UNAVAILABLE: the plugin ended with exit status 2",
            "may have begun",
        ),
    ],
)
def test_what_fails_is_told(call: Caller, arguments: list[str], message: str, hint: str) -> None:
    *_, document = call("--json", *arguments, status=1)
    assert message in document["error"]["message"]
    assert message in call.err
    assert hint in call.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x\n", "standard input is no kv.GetRequest: not JSON, at line 1, column 1: Expecting value"),
        (b'{"key": "a",\n}', "standard input is no kv.GetRequest: not JSON, at line 2, column 1: "),
        (b"", "standard input is empty, expected kv.GetRequest as a JSON object"),
        (b" \n", "standard input is empty, expected kv.GetRequest as a JSON object"),
        (b"3", "standard input is no kv.GetRequest: expected a JSON object"),
    ],
)
def test_a_wrong_request_on_standard_input(call: Caller, content: bytes, message: str, tmp_path: Path) -> None:
    call.stdin(content, tmp_path / "request")
    call("kv.KV/Get", "-", status=1)
    assert message in call.err


def test_a_failed_call_for_programs(call: Caller) -> None:
    (document,) = call("--json", "kv.KV/Get", '{"key": "x"}', status=1)
    error = document["error"]
    assert (error["type"], error["status"]) == ("CallError", "NOT_FOUND")
    assert error["details"] == 'no value is stored under "x"; Put stores one'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{}\n\n{"x": 1}\n{}', "line 3 of standard input is no kv.EchoRequest"),
        (b"{}\n{", "line 2 of standard input is no kv.EchoRequest"),
        (b"{}\n\xff\n", "line 2 of standard input is not UTF-8: byte 0 is 0xff"),
    ],
)
def test_a_wrong_line_ends_the_call(call: Caller, content: bytes, message: str, tmp_path: Path) -> None:
    call.stdin(content, tmp_path / "requests")
    call("kv.KV/Chat", "-", status=1)
    assert message in call.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: PLUGIN"),
        (["kv", "kv.KV/Get", "{"], "'{' is not JSON"),
        (["kv", "kv.KV/Get", "[" * 100_000], "is not JSON"),
        (["kv", "kv.KV/Chat", "-", "-"], "standard input can be read once"),
        (["--metadata", "x-bin=*", "kv"], "should have Base64"),
        (["--metadata", "na me=x", "kv"], "'na me' is no name of metadata"),
        (["--metadata", ":path=x", "kv"], "':path' is no name of metadata"),
        (["--metadata", "name=caf\xe9", "kv"], "should have printable ASCII"),
        (["--metadata", "name=a\nb", "kv"], "should have printable ASCII"),
        (["--metadata", "x", "kv"], "should have the form NAME=VALUE"),
        (["--timeout", "0", "kv"], "'0' should be a number of seconds"),
        (["--bogus", "kv"], "unrecognized arguments: --bogus"),
    ],
)
def test_wrong_command_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["call", *arguments])
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_plugin_that_cannot_be_started(call: Caller) -> None:
    document = json.loads(call.raw("--json", "./no-such-plugin", status=1))
    assert document["error"]["type"] == "LaunchError"
    assert call.err.startswith("ferrule: LaunchError: ")


def descriptor_set(*files: Any) -> bytes:
    written = descriptor_pb2.FileDescriptorSet()
    for file in files:
        file.CopyToProto(written.file.add())
    return written.SerializeToString()


def test_a_plugin_without_reflection_needs_definitions(call: Caller, tmp_path: Path) -> None:
    call.raw(*UNDESCRIBED, "kv.KV/Echo", status=1)
    assert "the server has no reflection service" in call.err
    assert "--descriptor-set FILE" in call.err
    path = tmp_path / "kv.binpb"
    path.write_bytes(descriptor_set(kv_pb2.DESCRIPTOR))
    out = call.raw("--descriptor-set", str(path), *UNDESCRIBED, "kv.KV/Echo", '{"payload": "YQ=="}')
    assert out == '{"payload": "YQ=="}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"syntax = 'proto3';", "is no descriptor set"),
        (b"", "is no descriptor set"),
    ],
)
def test_a_wrong_descriptor_set(call: Caller, content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    if content is not None:
        path.write_bytes(content)
    call("--descriptor-set", str(path), status=1)
    assert message in call.err


def test_a_descriptor_set_without_its_imports(call: Caller, tmp_path: Path) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=["b.proto"])
    (tmp_path / "set").write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    call("--descriptor-set", str(tmp_path / "set"), status=1)
    assert "import 'b.proto', which is not among them" in call.err
    assert "--include_imports" in call.err


def protoc(directory: Path, script: str) -> None:
    """A stand-in: what it would write is there already."""
    program = directory / "protoc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_definitions_are_compiled(call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "set").write_bytes(descriptor_set(kv_pb2.DESCRIPTOR))
    protoc(tmp_path, f'for a; do case "$a" in --descriptor_set_out=*) cp {tmp_path}/set "${{a#*=}}";; esac; done')
    assert call("--proto", "kv.proto", "kv.KV/Put") == [{}]
    protoc(tmp_path, "echo 'kv.proto:3: what is that' >&2; exit 1")
    call("--proto", "kv.proto", status=1)
    assert "protoc refuses kv.proto: kv.proto:3: what is that" in call.err


def test_no_compiler(call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = go_peer("kv")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    call.raw("--proto", "kv.proto", program, status=1)
    assert "--proto needs protoc" in call.err


class AnyDefinitions:
    """Definitions that hold what an `Any` holds."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def message_type(self, name: str) -> Any:
        self.asked.append(name)
        return any_pb2.Any if name == "google.protobuf.Any" else wrappers_pb2.StringValue


async def test_messages_inside_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferrule.cli.calling.messages import MessageCodec
    from ferrule.errors import ProtocolError

    definitions: Any = AnyDefinitions()
    codec = MessageCodec(definitions)
    text = '{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}'
    assert await codec.as_dict(await codec.parsed(text, "it", "google.protobuf.Any")) == json.loads(text)
    with pytest.raises(ProtocolError, match=r"a google\.protobuf\.Any of the plugin has no form in JSON"):
        await codec.as_dict(any_pb2.Any(type_url="type.googleapis.com/no.Such", value=b"x"))
    assert definitions.asked[-1] == "no.Such"


async def test_standard_input_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferrule.cli.calling.streams import input_lines

    monkeypatch.setattr("sys.stdin", io.StringIO("{}\n"))
    assert [line async for line in input_lines()] == [(1, "{}")]
