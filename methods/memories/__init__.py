"""Memories: what later frames may attend to, one rule a file."""
