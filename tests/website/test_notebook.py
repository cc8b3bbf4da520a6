"""examples/tour.ipynb runs from top to bottom, and shows what it is about."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from html_parts import text_of
from peers import ROOT
from waiting import LIMIT

EXAMPLES = ROOT / "examples"


def test_tour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    kept = [cell for cell in notebook.cells if cell.get("outputs")]
    assert kept == [], "outputs are of one machine: clear them"
    NotebookClient(
        notebook, timeout=int(LIMIT), kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    shown = [text_of(output.data["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    expected = ["2 succeeded", "ferrule_note", "will be created", "will be changed", "2 of 20 plugins"]
    assert len(shown) == len(expected)
    for text, part in zip(shown, expected, strict=True):
        assert part in text
