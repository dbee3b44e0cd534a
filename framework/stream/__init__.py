"""One video in progress: from pushed frames, through the decoder's layers, to answers."""
