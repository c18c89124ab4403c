"""What people look at: frames, tables, statistics, figures, and one page per sweep."""
