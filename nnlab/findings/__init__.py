"""What people look at: frames, figures, one page per study."""
