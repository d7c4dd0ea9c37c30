"""Things that draw numbers."""
