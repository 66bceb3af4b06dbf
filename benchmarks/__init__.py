"""Side-by-side measurements against peers; each module's docstring gives its command."""
