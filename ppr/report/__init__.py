"""What a person reads: terminal, Markdown, LaTeX, CSV, HTML, plots."""
