"""What people type and see: the commands, their progress, summaries and errors."""
