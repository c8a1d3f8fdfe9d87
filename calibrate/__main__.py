"""`python -m calibrate`."""

from calibrate.cli import main

raise SystemExit(main())
