"""Evidence: what bounded memories do to a real pretrained decoder, on streams of known text."""

from .options import EvidenceOptions
from .run import run_evidence
from .suites import SUITES, TextStream, streams

__all__ = ["SUITES", "EvidenceOptions", "TextStream", "run_evidence", "streams"]
