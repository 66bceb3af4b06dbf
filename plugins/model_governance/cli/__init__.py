"""The command line ``model-governance``."""

from model_governance.cli.adopt import adopt
from model_governance.cli.audit import audit
from model_governance.cli.commands import main
from model_governance.cli.compliance import compliance
from model_governance.cli.history import changelog, tag
from model_governance.cli.notify import notify
from model_governance.cli.people import access, roles
from model_governance.cli.serve import serve
from model_governance.cli.tokens import tokens

__all__ = ["main"]

main.add_command(access)
main.add_command(adopt)
main.add_command(audit)
main.add_command(changelog)
main.add_command(compliance)
main.add_command(notify)
main.add_command(roles)
main.add_command(serve)
main.add_command(tag)
main.add_command(tokens)
