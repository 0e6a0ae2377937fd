"""Zonal statistics of ChangeDetect's parcels: those of every change map."""

from candela.models.change.parcels import COLUMNS, MeasuredParcel, change_level, write_table

__all__ = ["COLUMNS", "MeasuredParcel", "change_level", "write_table"]
