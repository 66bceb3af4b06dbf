"""A run made again from its record, and held against what it gave the first time."""
