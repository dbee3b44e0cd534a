"""Command line, evaluation, benchmarks and reports."""
