"""SynthVideo: procedural videos with questions, known answers and the time of their evidence."""
