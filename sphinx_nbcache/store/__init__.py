"""The store, which persists results and their outputs, scans, and history between builds."""
