"""From a schema to a network and one run: the main job's heart."""
