"""The report: one model, and the forms in which it is shown."""
