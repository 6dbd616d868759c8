"""Runs the campaign, see `campaign.py`."""

import sys

from tests.hostile.campaign import main

if __name__ == "__main__":
    sys.exit(main())
