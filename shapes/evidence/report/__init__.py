"""The page: tables, plots and the answers."""
