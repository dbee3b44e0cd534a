"""What README and docs are made from: measured rows, generated pages, benches. Not installed."""
