"""MLflow's server, with a page that opens where runs of networks are shown (an app plugin of MLflow's, see `ui.py`).

MLflow 3.17 shows a browser that is new to it every page in its view for language models, whatever kind an experiment is
of, and lays its assistant over a third of the first one. What people choose instead it keeps in their browser; the page
begins by choosing for those who have not.
"""

import json

from flask import Response, request
from mlflow.server import app as pages
from mlflow.server.fastapi_app import app

__all__ = ["app"]

CHOSEN = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
}
"""What MLflow's page keeps in the browser: there to stay if somebody chose otherwise."""

SCRIPT = f"""<script>
for (const [name, value] of Object.entries({json.dumps(CHOSEN)}))
  if (localStorage.getItem(name) === null) localStorage.setItem(name, JSON.stringify(value));
</script>"""


@pages.after_request
def choose(response: Response) -> Response:
    """Put the script before those of the page."""
    if request.path == "/" and response.mimetype == "text/html" and response.status_code == 200:
        response.direct_passthrough = False
        response.set_data(response.get_data(as_text=True).replace("<head>", f"<head>{SCRIPT}", 1))
        for name in ("ETag", "Last-Modified"):  # of the file, which the page no longer is
            response.headers.pop(name, None)
    return response
