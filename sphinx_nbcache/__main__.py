"""The command line as `python -m sphinx_nbcache`."""

from sphinx_nbcache.cli import main

if __name__ == "__main__":
    main()
