"""Arguments in, a task called, tables and progress out."""
