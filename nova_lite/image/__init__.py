"""The rules of images: records, the store of their bytes, and what is let in. Knows the database, never HTTP."""
