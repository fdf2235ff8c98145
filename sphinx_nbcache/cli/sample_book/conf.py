project = "Quick start"
extensions = ["sphinx_nbcache"]
exclude_patterns = ["_build", ".venv"]
