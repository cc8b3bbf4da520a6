"""Files of state as Terraform and OpenTofu write them, `terraform.tfstate` of format 4."""

from ferrule.terraform.tfstate.address import Address
from ferrule.terraform.tfstate.file import StateFile

__all__ = ["Address", "StateFile"]
