"""vecwire opens any Linux layer-2 transport from one line of text and moves Ethernet frames a vector at a time."""
