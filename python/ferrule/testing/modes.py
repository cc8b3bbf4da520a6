"""The plugin's mode words: one table for parsing and for `--help`."""

import re
from dataclasses import dataclass, field, fields
from typing import Any


def _word(default: Any, explanation: str, *, value: str = "") -> Any:
    """One row of the table; `value` shows the form of the value after the equals sign, empty for a bare word."""
    return field(default=default, metadata={"explanation": explanation, "value": value})


@dataclass(frozen=True)
class Modes:
    """Deviations from a well-behaved plugin. A mode word is the name of a field with `-` for `_`."""

    versions: tuple[int, ...] = _word((1,), "application versions the plugin speaks (default 1)", value="3,5,7")
    tcp: bool = _word(False, "listen on 127.0.0.1 instead of a Unix socket")
    no_cert: bool = _word(False, "stay plaintext although PLUGIN_CLIENT_CERT is set")
    hang: bool = _word(False, "never print a handshake line")
    exit: int | None = _word(None, "exit with this status before the handshake line", value="N")
    banner: int = _word(0, "print this many stray lines before the handshake line", value="N")
    raw_line: str | None = _word(None, "print this as the handshake line and serve nothing", value="TEXT")
    ignore_shutdown: bool = _word(False, "answer Shutdown and keep running")
    hang_shutdown: bool = _word(False, "never answer Shutdown and keep running")
    ignore_sigterm: bool = _word(False, "ignore SIGTERM")
    no_health: bool = _word(False, "leave the health service out")
    no_stdio: bool = _word(False, "leave the stdio service out")
    no_reflection: bool = _word(False, "leave server reflection out")
    slow_listen: bool = _word(False, "print the handshake line 0.3 s before listening")


def parse(words: list[str]) -> Modes:
    """The modes that words of the command line ask for.

    Raises:
        ValueError: A word is unknown, or its value is missing, superfluous, or not of the form in the table.
    """
    table = {row.name.replace("_", "-"): row for row in fields(Modes)}
    chosen: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in table:
            raise ValueError(f"unknown mode word {word!r}; --help lists the known ones")
        form = table[name].metadata["value"]
        if bool(equals) != bool(form):
            raise ValueError(f"mode word {word!r} should read {name + '=' + form if form else name!r}")
        chosen[table[name].name] = _value(word, form, value)
    return Modes(**chosen)


def _value(word: str, form: str, value: str) -> Any:
    if not form:
        return True
    if form == "TEXT":
        return value
    if not re.fullmatch(r"\d+" if form == "N" else r"\d+(,\d+)*", value, re.ASCII):
        raise ValueError(f"mode word {word!r} has the value {value!r}; expected the form {form}")
    return int(value) if form == "N" else tuple(int(version) for version in value.split(","))


def usage() -> str:
    """The table as `--help` prints it."""
    rows = []
    for row in fields(Modes):
        form = row.metadata["value"]
        rows.append((row.name.replace("_", "-") + (f"={form}" if form else ""), row.metadata["explanation"]))
    width = max(len(word) for word, _ in rows)
    listing = "".join(f"  {word:<{width}}  {explanation}\n" for word, explanation in rows)
    return f"usage: python -m ferrule.testing [MODE_WORD ...]\n\nmode words, in any combination:\n{listing}"
