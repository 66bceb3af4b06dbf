"""`python -m camera_counting.cli` is the console script."""

from camera_counting.cli import main

main()
