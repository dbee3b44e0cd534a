"""Evidence: what bounded memories do to a real pretrained decoder, on streams with known text."""
