"""dlt's `rest_api` source from Salesforce into SQLite, whole or what changed since the last run.

    python dlt_load.py FOLDER '{"url": ..., "soql": ...}'
"""

import json
import os
import sys
from pathlib import Path

folder, info = Path(sys.argv[1]), json.loads(sys.argv[2])
os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR", DLT_DATA_DIR=str(folder / "data"))

import dlt  # noqa: E402  # reads the environment when it is imported
import requests  # noqa: E402
from dlt.sources.rest_api import rest_api_source  # noqa: E402

session = requests.Session()
session.trust_env = False
session.verify = info["ca_file"]
parameters = {"q": info["soql"]}
resource = {
    "name": "opportunity", "primary_key": "Id", "write_disposition": "merge",
    "endpoint": {"path": f"/services/data/v{info['version']}/query", "params": parameters, "data_selector": "records"},
}
if info.get("incremental"):
    parameters["q"] = info["soql"] + " WHERE SystemModstamp >= {incremental.start_value} ORDER BY SystemModstamp"
    resource["endpoint"]["incremental"] = {
        "cursor_path": "SystemModstamp", "initial_value": "2000-01-01T00:00:00.000+0000"}
source = rest_api_source({
    "client": {"base_url": info["url"], "auth": {"type": "bearer", "token": info["session_id"]}, "session": session,
               "paginator": {"type": "json_link", "next_url_path": "nextRecordsUrl"}},
    "resources": [resource],
})
pipeline = dlt.pipeline("peer", pipelines_dir=str(folder / "pipelines"), dataset_name="sales",
                        destination=dlt.destinations.sqlalchemy(f"sqlite:///{folder / 'peer.db'}"))
pipeline.run(source)
with pipeline.sql_client() as client, client.execute_query("SELECT count(*) FROM opportunity") as cursor:
    rows = cursor.fetchone()[0]
print(json.dumps({"rows": rows, "loaded": pipeline.last_trace.last_normalize_info.row_counts.get("opportunity", 0)}))
