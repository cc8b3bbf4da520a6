"""Messages of Terraform's provider protocol, versions 5.11 and 6.11.

`tfplugin5.proto` and `tfplugin6.proto` are the sources, and `make proto` writes the descriptors beside them.
"""

from ferrule.terraform.messages.protocol import Protocol, new_message
from ferrule.terraform.messages.responses import attribute_path, diagnostics, dynamic_value

__all__ = ["Protocol", "attribute_path", "diagnostics", "dynamic_value", "new_message"]
