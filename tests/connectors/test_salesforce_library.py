"""The part of simple-salesforce that Sidefeed leaves out until it is used is all there when somebody uses it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from connectors.salesforce.library import Salesforce
assert not {"zeep", "jwt", "cryptography"} & set(sys.modules), "imported before anything needs them"
import simple_salesforce.login
assert simple_salesforce.login.jwt.encode({}, "k" * 32, algorithm="HS256").count(".") == 2
client = Salesforce(instance_url="http://127.0.0.1:9", session_id="00D!x")
from simple_salesforce.metadata import SfdcMetadataApi
assert isinstance(client.mdapi, SfdcMetadataApi) and "zeep" in sys.modules
import jwt
assert jwt.encode is simple_salesforce.login.jwt.encode
"""


def test_what_is_left_out_at_first_works_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
