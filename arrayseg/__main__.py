"""`python -m arrayseg` is the command `arrayseg`."""

from arrayseg.app import main

if __name__ == "__main__":
    main()
