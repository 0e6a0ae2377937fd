"""The worker, but it gives a storage that does not work up almost at once."""

import sys

from candela.backoff import Backoff
from candela.contract import documents
from candela.worker.__main__ import main

if __name__ == "__main__":
    documents.BACKOFF = Backoff(0.1, 0.1)
    documents.TRIES = 2
    sys.exit(main())
