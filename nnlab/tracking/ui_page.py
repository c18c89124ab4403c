"""MLflow's server with other defaults in its page: an app plugin of MLflow, which `nnlab ui` starts.

In a browser that opens MLflow 3.17 for the first time, every page but a link with `workflowType` shows the view for
language models, whatever kind the experiment has, and MLflow's assistant covers a third of it. No option of the server
and no tag changes that: the page keeps these choices in the browser. So the page first writes its defaults there, for
users who have not chosen.
"""

import json

from flask import Response, request
from mlflow.server import app as pages
from mlflow.server.fastapi_app import app

__all__ = ["app"]

DEFAULTS = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
}
"""Keys of the browser's local storage; a value that is there already is kept."""

SCRIPT = f"""<script>
for (const [name, value] of Object.entries({json.dumps(DEFAULTS)}))
  if (localStorage.getItem(name) === null) localStorage.setItem(name, JSON.stringify(value));
</script>"""


@pages.after_request
def add_script(response: Response) -> Response:
    """Insert the script into the page, before the page's own scripts."""
    if request.path == "/" and response.mimetype == "text/html" and response.status_code == 200:
        response.direct_passthrough = False
        response.set_data(response.get_data(as_text=True).replace("<head>", f"<head>{SCRIPT}", 1))
        for name in ("ETag", "Last-Modified"):  # they describe the file, not the changed page
            response.headers.pop(name, None)
    return response
