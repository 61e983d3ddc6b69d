"""`python -m sdkit`."""

from .cli import main

main()
