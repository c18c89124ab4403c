"""What people look at: frames, tables, statistics, figures, and reports."""
