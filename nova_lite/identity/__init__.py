"""Identity's rules: passwords, tokens, who may scope to what, the catalog, the first accounts."""
