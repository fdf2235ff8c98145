"""How a notebook is run: a job goes to an executor, and an outcome comes back."""
