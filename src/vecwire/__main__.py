"""``python -m vecwire`` is the ``vecwire`` command."""

from vecwire.cli import main

if __name__ == "__main__":
    main()
