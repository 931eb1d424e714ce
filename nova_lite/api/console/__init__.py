"""Remote consoles as the front door offers them: their URLs, their pages, and who is let through. ``api/server`` carries the bytes."""
