"""Providers in pools: specs that configure what they start, and what leases of them know."""
