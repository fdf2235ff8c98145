"""`python -m sphinx_nbcache`: the command line."""

from sphinx_nbcache.cli import main

if __name__ == "__main__":
    main()
