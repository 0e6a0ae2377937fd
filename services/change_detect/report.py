"""Statistics and preview of ChangeDetect's map: those of every change map."""

from candela.models.change.report import GAP, Report

__all__ = ["GAP", "Report"]
