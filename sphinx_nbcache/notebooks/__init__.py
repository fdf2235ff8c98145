"""What a notebook is: its formats, its cells, its code key, and the remembered scan of a file."""
