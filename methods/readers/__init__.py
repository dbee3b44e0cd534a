"""Readers: what a question reads of the archive, one rule a file."""
