"""The state store: models, sessions and the queries that several domains share."""
