"""OpenTofu itself plans, applies, changes and destroys with the example provider in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acceptance.workspace import Workspace
from integration.certificates import self_signed

pytestmark = [pytest.mark.timeout(300), pytest.mark.go]


def test_life_of_a_resource(workspace: Workspace) -> None:
    creation = workspace.planned("hello")
    assert {name: change["actions"] for name, change in creation.items()} == {
        "greeting": ["create"],
        "reference": ["create"],
    }
    assert creation["greeting"]["after"] == {"text": "hello", "length": 5}
    assert creation["greeting"]["after_unknown"] == {"id": True}
    assert creation["reference"]["after_unknown"] == {"id": True, "text": True, "length": True}

    workspace.tofu("apply", "plan")
    created = workspace.state()
    assert (created["greeting"]["text"], created["greeting"]["length"]) == ("hello", 5)
    assert created["reference"]["text"] == f"see {created['greeting']['id']}"
    assert created["reference"]["length"] == len(created["reference"]["text"])
    assert {change["actions"][0] for change in workspace.planned("hello").values()} == {"no-op"}

    change = workspace.planned("good evening")["greeting"]
    assert (change["actions"], change["before"]["text"]) == (["update"], "hello")
    assert change["after"] == {"id": created["greeting"]["id"], "text": "good evening", "length": 12}
    workspace.tofu("apply", "-auto-approve", "-var=text=good evening")
    assert workspace.state() == created | {"greeting": change["after"]}

    assert "2 destroyed" in workspace.tofu("destroy", "-auto-approve", "-var=text=farewell")
    assert workspace.state() == {}


def test_tls_is_on_by_default(workspace: Workspace) -> None:
    """With the kind of key in the client's certificate that grpcio's own TLS cannot verify."""
    assert "2 to add" in workspace.tofu("plan", "-var=text=hello")
    announced = [start["PLUGIN_CLIENT_CERT"] for start in workspace.starts()]
    assert announced
    assert len(set(announced)) == len(announced)
    for certificate in announced:
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp521r1"


def test_host_with_another_certificate_than_announced_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(self_signed().certificate_pem)
    workspace.install(f"PLUGIN_CLIENT_CERT=$(cat {tmp_path}/other.pem)")
    outcome = workspace.run("plan", "-var=text=hello")
    assert outcome.status == 1, outcome.output
    # OpenTofu's own words depend on whether it writes before it reads the alert.
    assert "Error while loading schemas" in outcome.output
    assert "[WARN]  provider.terraform-provider-ferrule: refused a connection" in outcome.log
    assert "presented another certificate than the one that was agreed on" in outcome.log
    workspace.remove_sockets()


def test_plaintext_if_told_so(workspace: Workspace) -> None:
    assert "2 to add" in workspace.tofu("plan", "-var=text=hello", TF_DISABLE_PLUGIN_TLS="1")
    assert {"PLUGIN_CLIENT_CERT" in start for start in workspace.starts()} == {False}


def test_provider_that_runs_under_a_debugger(workspace: Workspace) -> None:
    with workspace.debugged() as reattach:
        workspace.tofu("apply", "-auto-approve", "-var=text=hello", TF_REATTACH_PROVIDERS=reattach)
        change = workspace.planned("goodbye", TF_REATTACH_PROVIDERS=reattach)["greeting"]
    assert (change["actions"], change["after"]["length"]) == (["update"], 7)
    assert workspace.starts() == []


def test_diagnostic_names_the_attribute(workspace: Workspace) -> None:
    outcome = workspace.run("plan", "-var=text=")
    assert outcome.status == 1
    assert "The note is empty" in outcome.output
    assert "text = var.text" in outcome.output
