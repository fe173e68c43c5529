"""Prepares the import of what is tested here, before any of it is imported."""

from __future__ import annotations

from package_of_same_name import restore

restore("shapes")
