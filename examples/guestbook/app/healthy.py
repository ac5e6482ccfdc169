"""Exit 0 when the guest book answers, and its database behind it."""

import sys
from urllib.request import urlopen

with urlopen("http://127.0.0.1:8000/healthy", timeout=4) as answer:
    sys.exit(answer.status != 200)
