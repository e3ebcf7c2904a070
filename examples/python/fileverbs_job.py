"""Shows a FileVerbs job and its outputs.

    pip install ./bindings/python requests    # in a checkout of keyferry
    python examples/python/fileverbs_job.py JOB

Prints the name of each output. Shows the status of the job on standard error.

Exit codes: 0 the job is done, 1 failed, 2 usage, 3 log in or configure something, 4 retry later.
"""

import argparse
import sys
from typing import Any

import keyferry
import keyferry.requests
import requests

ACTION_REQUIRED = (
    keyferry.BadCredentials,
    keyferry.ConfigError,
    keyferry.LoginRequired,
    keyferry.NotConfigured,
    keyferry.SecretSourceError,
    keyferry.UnsafeFile,
)
TEMPORARY = (keyferry.Busy, keyferry.NoResponse, keyferry.Throttled, keyferry.Timeout, keyferry.Unavailable, keyferry.Unreachable)

# Adds the headers to requests to FileVerbs. After a 401, it rejects the token and tries once with a new one.
client = requests.Session()
client.auth = keyferry.requests.Auth()


def get(path: str) -> Any:
    """Calls FileVerbs and returns the JSON of the response."""
    response = client.get(keyferry.default.explain("fileverbs:bearer")["base"] + path, timeout=60)
    response.raise_for_status()
    return response.json()


def field(document: Any, name: str) -> str:
    """Returns a field of a response. A response without it is a failure."""
    if not isinstance(document, dict) or name not in document:
        raise ValueError(f"the response of FileVerbs has no field `{name}`; check `fileverbs.url`, or update this program")
    return str(document[name])


def main() -> int:
    parser = argparse.ArgumentParser(description="Show a FileVerbs job and its outputs.")
    parser.add_argument("job", help="ID of the job")
    job = parser.parse_args().job
    try:
        status = field(get(f"/api/v1/jobrequests/{job}"), "Status")
        print(f"job {job} is {status}", file=sys.stderr)
        if status != "Done":
            return 4
        for output in get(f"/api/v1/jobrequests/{job}/outputs"):
            print(field(output, "FileName"))
        return 0
    except keyferry.Error as error:
        # The message says what failed and what to do. It never contains a secret.
        message, code = str(error), 3 if isinstance(error, ACTION_REQUIRED) else 4 if isinstance(error, TEMPORARY) else 1
    except requests.HTTPError as error:
        http_status = error.response.status_code
        message, code = f"FileVerbs has no job {job} for this account (status {http_status}); check the ID", 1
        if http_status == 429 or http_status >= 500:
            message, code = f"FileVerbs is unavailable (status {http_status}); retry later", 4
    except requests.JSONDecodeError:
        message, code = "the response of FileVerbs is not JSON; check `fileverbs.url` and the proxy", 1
    except requests.RequestException as error:
        message, code = f"cannot reach FileVerbs ({type(error).__name__}); check the network, and retry later", 4
    except ValueError as error:
        message, code = str(error), 1
    print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
