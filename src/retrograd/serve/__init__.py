"""Serving: a trained network answers over HTTP, on this machine or for others.

A request's way: `wire` and `connections` (bytes, timeouts, how many) -> `gate` (who may, how many
at once, what is logged and counted) -> `asking` and `routes` (what is asked) -> `body`, `rows` and
`cells` (cells become features) -> `batching` (rows that arrive together are predicted together) ->
`programs` (the compiled network). `shelf` loads models anew when their files change. `plain` tells
the usual request, which takes a shorter way with the same answer.
"""
