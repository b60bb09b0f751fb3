"""Serving: a trained network answers over HTTP, on this machine or for others.

A request's way: `connections` (sockets, timeouts, how many) -> `gate` (who may, how many at once,
what is logged and counted) -> `routes` and `protocol` (what is asked) -> `body` and `rows` (cells
become features) -> `batching` (rows that arrive together are predicted together) -> `programs`
(the compiled network). `shelf` keeps the models and loads them anew when their files change.
"""
