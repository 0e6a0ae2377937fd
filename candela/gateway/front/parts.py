"""Parts of files, which the event loop sends as it sends whole ones."""

from flask import Flask, Response
from waitress.buffers import ReadOnlyFileBasedBuffer


def send_parts_as_files(app: Flask) -> None:
    """Answer a Range of a file with the file, from where the range begins.

    Flask would have a thread read the part piece by piece, as fast as the client takes it.
    """

    @app.after_request
    def unwrap(response: Response) -> Response:
        file = getattr(response.response, "iterable", None)  # of what wraps a part
        start = response.content_range.start if response.status_code == 206 else None
        if start is not None and isinstance(file, ReadOnlyFileBasedBuffer):
            file.seek(start)
            response.response = file  # of which no more is sent than Content-Length says
        return response
