"""What users ask for, as functions with typed results."""
