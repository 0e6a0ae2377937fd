"""The worker, but it gives a storage that does not work up almost at once."""

import sys

from candela.worker import documents
from candela.worker.__main__ import main

if __name__ == "__main__":
    documents.WAITS_S = (0.1,)
    sys.exit(main())
