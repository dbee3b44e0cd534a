"""What happens in a clip: one stage a file."""
