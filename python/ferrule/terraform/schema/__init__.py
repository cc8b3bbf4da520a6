"""Schemas of providers."""
