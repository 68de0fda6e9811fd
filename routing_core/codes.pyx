"""Enums shared by kernel, edge and API; see codes.pxd, which is their only definition."""
