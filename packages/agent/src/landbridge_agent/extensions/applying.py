"""Make the machine have what an extension resource says.

1. what a killed upgrade has left is taken back;
2. the version is chosen, and whether the handler may serve one resource more is checked;
3. a resource that says the same as when it last succeeded is left alone: nothing runs twice;
4. the package is had, verified and unpacked; another version that is here is upgraded (``upgrading``);
5. the handler is installed if it is not, and enabled with the settings under a new number.
"""

from __future__ import annotations

from landbridge_agent.extensions import enabling, upgrading
from landbridge_agent.extensions.context import Choice, Context
from landbridge_agent.extensions.errors import ExtensionFailed
from landbridge_agent.extensions.handler_folder import ENABLED, HandlerFolder, stem
from landbridge_agent.extensions.manifest import ENABLE, read_manifest
from landbridge_agent.extensions.names import Handler
from landbridge_agent.extensions.records import FAILED, GONE, SUCCEEDED, WORKING, Record
from landbridge_agent.extensions.wishes import Wish

DONE = "The handler was enabled and reports nothing."


def apply(context: Context, record: Record, wish: Wish) -> str:
    """Do it, and return what the handler says.

    Raises:
        ExtensionFailed: it did not succeed; the record says so, too.
    """
    upgrading.recover(context, record)
    _check_same_handler(record, wish)
    choice = context.choose(wish.handler, wish.least, _installed(context, record, wish))
    said = context.records.digest({**wish.said, "owner": context.owner})
    if record.digest == said and record.state == SUCCEEDED and _is_there(context, record, choice):
        return _last_word(context, record)
    before = record.handler if record.is_here else None
    folder = context.unpack(choice)
    old = _check_sharing(context, record, folder) or before
    _begin(context, record, choice)
    try:
        message = _carry_out(context, record, folder, wish, old)
    except (ExtensionFailed, OSError):
        record.state = FAILED
        context.records.save(record)
        raise
    record.state, record.digest = SUCCEEDED, said
    context.say(record, ENABLE, f"{record.version} was enabled, number {record.sequence}")
    return message


def _check_same_handler(record: Record, wish: Wish) -> None:
    if record.is_here and record.handler.key != wish.handler.key:
        raise ExtensionFailed(
            f"The extension '{record.name}' is {record.publisher}/{record.type} on this machine and cannot "
            f"become {wish.handler.publisher}/{wish.handler.type}: delete it first, or use another name."
        )


def _installed(context: Context, record: Record, wish: Wish) -> Handler | None:
    """Return the version that is here and will do, for this resource or for another that shares it."""
    known = [record] if record.is_here else []
    for one in [*known, *context.records.sharing(record, wish.handler)]:
        if context.folder(one.handler).exists and wish.is_met_by(one.handler):
            return one.handler
    return None


def _is_there(context: Context, record: Record, choice: Choice) -> bool:
    folder = context.folder(record.handler)
    return record.handler == choice.handler and folder.exists and folder.state == ENABLED


def _last_word(context: Context, record: Record) -> str:
    folder = context.folder(record.handler)
    several = read_manifest(folder.path).several
    number = folder.last_sequence(record.name if several else "")
    said = folder.status(stem(record.name, number, several))
    return said.message if said is not None else DONE


def _begin(context: Context, record: Record, choice: Choice) -> None:
    """Note what is begun before anything is done, so that a kill leaves something to go by."""
    if not record.is_here:
        record.publisher, record.type, record.version = choice.handler
    if record.state in ("", GONE):
        record.digest = ""
    record.state = WORKING
    context.records.save(record)


def _check_sharing(context: Context, record: Record, folder: HandlerFolder) -> Handler | None:
    """Return the version that others have of a handler that serves several resources; None: nobody else."""
    others = context.records.sharing(record, folder.handler)
    if others and not read_manifest(folder.path).several:
        raise ExtensionFailed(
            f"Multiple extensions per handler are not supported by {folder.handler.full_name}: "
            f"'{others[0].name}' has it already."
        )
    return others[0].handler if others else None


def _carry_out(
    context: Context, record: Record, folder: HandlerFolder, wish: Wish, old: Handler | None
) -> str:
    if old is not None and old != folder.handler and context.folder(old).exists:
        record.version = old.version
        said = upgrading.upgrade(context, record, folder, wish.settings)
    else:
        record.publisher, record.type, record.version = folder.handler
        enabling.install(context, record, folder)
        said = enabling.enable(context, record, folder, wish.settings)
    return said.message if said is not None else DONE
