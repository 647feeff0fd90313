"""What a way into the network must do, and which one a message takes."""

from typing import Protocol

import msgspec

from spms.messaging.model import MessageOut


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The network took the message."""

    link_message_id: str
    """The network's name for it; receipts will use it."""
    link: str | None = None
    """The link that took it, where several are seen as one."""
    pdu: bytes | None = None
    """What was written to the line, part after part; None where the link has no PDUs."""
    parts: tuple[str, ...] = ()
    """The network's names for the parts, where it has several and names each."""


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

    @property
    def ready(self) -> bool:
        """Whether it can take messages now; while it cannot, none are taken from the queue."""

    @property
    def parallel(self) -> int:
        """How many messages it can have under way at one time."""

    def takes(self, message: MessageOut) -> bool:
        """Whether messages of this sender to this number go over it."""

    async def submit(self, message: MessageOut) -> Submitted:
        """Hand over a message and wait until the network says it has it.

        Raises `LinkBusy` or `LinkDown` when it was certainly not sent, `LinkRefused` when it
        never will be. Whatever else is raised leaves it unknown whether it was sent.
        """


class Links:
    """The ways into the network, seen as one."""

    name = "links"

    def __init__(self, *links: Link) -> None:
        """Route over these; the first that takes a message and is up gets it."""
        self._links = links

    @property
    def ready(self) -> bool:
        """Whether any of them can take messages now."""
        return any(link.ready for link in self._links)

    @property
    def parallel(self) -> int:
        """How many messages they can have under way at one time."""
        return sum(link.parallel for link in self._links)

    def takes(self, message: MessageOut) -> bool:
        """Whether any of them takes messages like this one."""
        return any(link.takes(message) for link in self._links)

    async def submit(self, message: MessageOut) -> Submitted:
        """Hand the message to the first link that takes it; what it certainly has not, the next.

        Raises what the last of them raised, `LinkRefused` when none takes such messages.
        """
        answer: LinkBusy | LinkDown | None = None
        for link in self._links:
            if not link.takes(message):
                continue
            try:
                submitted = await link.submit(message)
            except (LinkBusy, LinkDown) as not_now:
                answer = not_now
            else:
                return msgspec.structs.replace(submitted, link=submitted.link or link.name)
        raise answer or LinkRefused("no_route")
