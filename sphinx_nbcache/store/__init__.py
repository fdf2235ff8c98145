"""What is remembered between builds: results and their outputs, scans, and history."""
