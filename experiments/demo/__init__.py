"""`crossframe demo`: memories on a drawn video, by questions whose answers are known."""
