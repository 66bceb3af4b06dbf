"""Data sets of camera pictures and clips: read, generated, checked, split, kept and described."""
