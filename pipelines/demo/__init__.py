"""The whole lifecycle on generated cameras, each step held against what is known to be true. ``make demo``"""
