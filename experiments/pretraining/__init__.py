"""Tiny models of real families, trained from scratch on a course until they answer."""
