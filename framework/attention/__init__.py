"""Prefix-causal attention that also tells the mass each key received."""
