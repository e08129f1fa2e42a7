"""`python -m arrayseg` is the command `arrayseg`."""

from arrayseg.cli import main

if __name__ == "__main__":
    main()
