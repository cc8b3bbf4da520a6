"""What verbs print: results on standard output, failures and warnings on standard error."""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ferrule._console import error_json as plain_error_json
from ferrule._console import failure_text, without_control, write, write_to
from ferrule._console.terminal import CLEARED_LINE, Style, indented
from ferrule.errors import RPCPluginError
from ferrule.terraform.cty import format_path
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import ConfigurationError, InvalidResponseError, ProviderError
from ferrule.terraform.redaction import WithoutValue

__all__ = [
    "WarningPrinter",
    "attribute_lines",
    "diagnostic_json",
    "error_json",
    "json_text",
    "lines_text",
    "plain",
    "print_json",
    "print_lines",
    "report",
    "warn",
]


class WarningPrinter(logging.Handler):
    """Shows the warnings of providers, which the package logs, each once.

    Attributes:
        warnings (list[Diagnostic]): All of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[Diagnostic] = []

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr.isatty():
            # A line of progress may stand there.
            _say(CLEARED_LINE)
        found = [each for each in record.args or () if isinstance(each, Diagnostic)]
        self.warnings += found
        if found:
            warn(found)
        else:
            _say(without_control(f"{record.levelname}: {record.getMessage()}\n"))


def plain(text: str) -> Any:
    """The value of JSON text, with each digit of its numbers."""
    return json.loads(text, parse_float=Decimal)


def json_text(value: Any, indent: str = "") -> str:
    """A value as JSON with a line for each member, what has no value by its words."""
    inner = f"\n{indent}  "
    match value:
        case dict() if value:
            members = (f"{inner}{json.dumps(name)}: {json_text(each, f'{indent}  ')}" for name, each in value.items())
            return f"{{{','.join(members)}\n{indent}}}"
        case list() | tuple() if value:
            elements = (inner + json_text(each, f"{indent}  ") for each in value)
            return f"[{','.join(elements)}\n{indent}]"
        case Decimal() | WithoutValue():
            return str(value) if isinstance(value, Decimal) else repr(value)
    return json.dumps(value)


def attribute_lines(attributes: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The attributes that have a value."""
    width = max((len(name) for name, value in attributes.items() if value is not None), default=0)
    for name, value in attributes.items():
        if value is not None:
            yield f"{style(name.ljust(width), 'bold')} = {json_text(value)}"


def print_json(document: Any) -> None:
    """One JSON document on standard output, for programs."""
    write(json_text(document) + "\n")


def lines_text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def print_lines(lines: Iterable[str]) -> None:
    """Lines on standard output, for people."""
    write(lines_text(lines))


def report(error: RPCPluginError) -> None:
    """Tells people what failed: each diagnostic and each problem with its place."""
    if isinstance(error, ProviderError) and error.diagnostics:
        _say(without_control(f"ferrule: {type(error).__name__}: {error.what}\n"))
        warn(error.diagnostics)
    elif isinstance(error, ConfigurationError | InvalidResponseError) and error.problems:
        style = Style(sys.stderr)
        lines = [without_control(f"ferrule: {type(error).__name__}: {error.what}")]
        for problem in error.problems:
            place, message = map(without_control, (format_path(problem.path), problem.message))
            lines.append(f"  {style(place, 'bold')}: {message}" if place else f"  {message}")
            lines += [f"    {without_control(problem.hint)}"] if problem.hint else []
        _say(lines_text(lines))
    else:
        _say(failure_text(error, None))


def warn(diagnostics: Iterable[Diagnostic]) -> None:
    """Shows diagnostics on standard error: place, summary and detail of each."""
    style = Style(sys.stderr)
    lines: list[str] = []
    for each in diagnostics:
        word, colour = ("Error:", "red") if each.severity is Severity.ERROR else ("Warning:", "yellow")
        place = without_control(format_path(each.path)) if each.path else ""
        lines.append(f"{style(word, colour, 'bold')} {' '.join(indented(each.summary, style.width, ''))}")
        lines += [f"  at {style(place, 'bold')}"] if place else []
        lines += indented(each.detail, style.width, "  ")
    _say(lines_text(lines))


def error_json(error: RPCPluginError) -> dict[str, Any]:
    """A failure for programs."""
    document = plain_error_json(error)
    if isinstance(error, ProviderError):
        document["diagnostics"] = [diagnostic_json(each) for each in error.diagnostics]
    if isinstance(error, ConfigurationError | InvalidResponseError):
        document["problems"] = [{"path": format_path(each.path), "message": each.message} for each in error.problems]
    return document


def diagnostic_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A warning or an error of a provider, for programs."""
    return {
        "severity": diagnostic.severity.value,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "path": None if diagnostic.path is None else format_path(diagnostic.path),
    }


def _say(text: str) -> None:
    write_to(sys.stderr, text)
