"""Tuning: many trainings on one split, of which the best is trained again and judged honestly.

`space` says what is searched, `material` prepares the data once, `trial` trains one network,
`journal` and `study` keep what happened through any kill, `search` leads one process through a
study, `noise` and `finish` say how much of the winner's lead is chance, `results` tables and plots.
"""
