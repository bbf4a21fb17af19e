"""What the functions' logs say after all that was done to them."""

from infra.local.stack import Stack
from tests.proof.table import Row

_UNEXPECTED = ("Traceback", '"exception"')


def tracebacks(stack: Stack) -> Row:
    """`tried` are the lines of all logs, `wrong` those that show an error nobody expected."""
    row = Row("faults", "lines of the logs, for tracebacks")
    for name in stack.functions:
        for line in (stack.logs / f"{name}.log").read_text(errors="replace").splitlines():
            row.tried += 1
            if any(sign in line for sign in _UNEXPECTED):
                row.findings.append(f"{name}: {line[:300]}")
    row.wrong = len(row.findings)
    return row
