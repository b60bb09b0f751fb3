"""The peers, each at its best practice: one module a library, none of which retrograd needs."""
