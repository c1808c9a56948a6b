"""Wire formats and offloads: bytes in, bytes out, no system call."""
