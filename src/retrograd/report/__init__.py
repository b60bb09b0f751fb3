"""What a run tells a person: one page that stands alone, and needs nobody's network.

`page.make_report` reads a run's directory, judges its network on the validation rows, draws, and
returns the page. The sealed test part stays closed: only what its last opening said is shown.
"""
