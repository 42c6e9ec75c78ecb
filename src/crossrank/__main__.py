"""``python -m crossrank`` is the command ``crossrank``."""

from crossrank.cli import main

if __name__ == "__main__":
    main()
