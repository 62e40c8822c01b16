"""What the records mean: tables, from records and predictions alone.

Nothing here trains, reads data or asks W&B; the same records give the same bytes everywhere.
"""
