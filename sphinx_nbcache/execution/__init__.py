"""Running notebooks: an executor takes a job and returns an outcome."""
