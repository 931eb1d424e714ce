"""Entry points: one small file for each program."""
