"""Does a deployed configuration, or a running gateway, still say what the policy says?"""

from calibrate.verification.comparing import Difference
from calibrate.verification.deployed import verify_file
from calibrate.verification.running import ASKABLE, verify_running

__all__ = ["ASKABLE", "Difference", "verify_file", "verify_running"]
