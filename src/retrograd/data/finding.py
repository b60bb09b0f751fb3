"""Finding: one thing that the audit of a split has to say, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Subject = Literal["copies", "column", "counter", "statistic", "time", "group", "class"]


@dataclass(frozen=True)
class Finding:
    """What was found about the parts of a table.

    subject: what it is about.  is_alarm: whether the estimate would be too good, or a class cannot
    be learnt or judged; else it is good to know.  evidence: what was seen, in numbers.  remedy:
    what can be done.  columns: those that it is about.
    """

    subject: Subject
    is_alarm: bool
    evidence: str
    remedy: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as people read it.

        >>> print(Finding("class", True, "no row of class 'c' trains", "give more rows"))
        no row of class 'c' trains; give more rows
        """
        return f"{self.evidence}; {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "subject": self.subject,
            "alarm": self.is_alarm,
            "evidence": self.evidence,
            "remedy": self.remedy,
            "columns": list(self.columns),
        }


def percent(share: float) -> str:
    """Return a share as people read it, never rounded up to all or down to nothing.

    >>> percent(0.5), percent(1.0), percent(0.99996), percent(0.0004)
    ('50 %', '100 %', '99.99 %', '0.04 %')
    """
    hundredths = share * 100
    if 0 < hundredths < 1 or 99 < hundredths < 100:
        return f"{min(max(hundredths, 0.01), 99.99):.2f}".rstrip("0").rstrip(".") + " %"
    return f"{hundredths:.0f} %"
