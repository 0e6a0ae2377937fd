"""What the ``candela`` command does, in modules that are imported when they are needed."""
