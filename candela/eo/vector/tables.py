"""Tables as CSV that a spreadsheet may open."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# How a cell begins that a spreadsheet would run; the last four are their full-width forms.


def harmless(value: object) -> object:
    """Return what a cell may hold: text that a spreadsheet would run gets an apostrophe in front.

    Numbers stay as they are, also as text.
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(FORMULA):
        return value
    return value if _is_number(value) else f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text == text.strip()
