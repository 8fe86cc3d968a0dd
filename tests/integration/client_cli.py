"""The AWS CLI's own code in one process, since starting it costs more than a call: its arguments as a JSON list a line on
stdin, [status, stdout, stderr] a line on stdout."""
import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver

driver = create_clidriver()
answers = sys.stdout
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(json.loads(line))
    print(json.dumps([status, out.getvalue(), err.getvalue()]), file=answers, flush=True)
