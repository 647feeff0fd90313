"""What a way into the network must do, and which one a message takes."""

from typing import Protocol

import msgspec

from spms.messaging.model import MessageOut


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The network took the message."""

    link_message_id: str
    """The network's name for it; receipts will use it."""


class LinkBusy(Exception):  # noqa: N818 - an answer of the network, not an error of ours
    """The network did not take the message now (throttled, queue full): certainly not sent."""

    retry_seconds = 1.0


class LinkDown(Exception):  # noqa: N818 - see LinkBusy
    """There is no connection, and the message was certainly not written to it."""

    retry_seconds = 5.0


class LinkRefused(Exception):  # noqa: N818 - see LinkBusy
    """The network will never take this message. `reason` is a code of the link's, never a text."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


class Link(Protocol):
    """A way into the network."""

    @property
    def name(self) -> str:
        """Name of the link; receipts carry the same."""

    async def submit(self, message: MessageOut) -> Submitted:
        """Hand over a message and wait until the network says it has it.

        Raises `LinkBusy` or `LinkDown` when it was certainly not sent, `LinkRefused` when it
        never will be. Whatever else is raised leaves it unknown whether it was sent.
        """


class Links:
    """The ways into the network, seen as one. There is one so far; nothing is routed by yet."""

    def __init__(self, link: Link) -> None:
        """Send everything over one link."""
        self._link = link

    @property
    def name(self) -> str:
        """Name of the link that takes the messages."""
        return self._link.name

    async def submit(self, message: MessageOut) -> Submitted:
        """Hand the message to the link that takes it; raises what that link raises."""
        return await self._link.submit(message)
