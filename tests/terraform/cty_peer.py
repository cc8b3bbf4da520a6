"""The program in Go that answers questions by go-cty."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from ferrule.terraform import cty
from peers import go_peer

Ask = Callable[..., dict[str, Any]]
"""Asks a question: its name, and its parts by name."""


def check_decoded(ask: Ask, data: bytes, of: cty.Type) -> None:
    """Both decode some bytes and encode what they have read alike, or both refuse them."""
    answer = ask("decode", type=of.json, data=data.hex())
    try:
        found = cty.encode(cty.decode(data, of), of).hex()
    except cty.CtyError:
        assert "data" not in answer
    else:
        assert answer.get("data") == found


@contextlib.contextmanager
def asking() -> Iterator[Ask]:
    with subprocess.Popen([go_peer("cty")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        questions, answers = program.stdin, program.stdout

        def asked(op: str, **question: Any) -> dict[str, Any]:
            questions.write(json.dumps({"op": op, **question}) + "\n")
            questions.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield asked
        questions.close()
