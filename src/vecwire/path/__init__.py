"""The compiled path: memory and motion of frames, without the GIL."""
