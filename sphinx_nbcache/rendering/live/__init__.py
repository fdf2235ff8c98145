"""Outputs that scripts draw: charts, widgets, JavaScript; and the libraries that they need."""
