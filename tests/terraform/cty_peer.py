"""The program in Go that answers questions by go-cty."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from peers import go_peer

Ask = Callable[..., dict[str, Any]]
"""Asks a question: its name, and its parts by name."""


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
