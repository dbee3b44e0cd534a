"""Wrappers: one part of another memory's rule changed, one a file."""
