"""The front door: one WSGI application for all APIs, each in a folder of its own, one noun a file.

A request's way: ``app`` (request id, limits, token, version, policy, body) → the route's handler → a domain function →
one transaction → a wake-up for whoever goes on with it.
"""
