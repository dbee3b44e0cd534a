"""Files of checkpoints: looked at before they are trusted, read shard by shard."""
