"""How the KV of all frames is kept for answering, and what a question reads of it."""
