"""What an agent does to its host beside running guests: networks, image cache, config drives."""
