"""One file per dock of the window."""
