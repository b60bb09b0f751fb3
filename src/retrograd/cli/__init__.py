"""People at a terminal: one file a verb, no logic of its own."""
