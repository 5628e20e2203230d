"""What is shown: tables on a terminal, progress, plots; documents are in ppr/report."""
