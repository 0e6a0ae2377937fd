"""The processes of CANDELA: one folder is one process."""
