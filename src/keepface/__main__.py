"""Run the command line as `python -m keepface`."""

from keepface.cli import main

if __name__ == "__main__":
    main()
