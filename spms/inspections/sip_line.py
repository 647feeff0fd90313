"""The caller's end of one call: what has been heard so far, and what must be answered at once.

Everything here happens inside the event loop's callback for one datagram: no waiting. How long to
wait for which fact, and when to give up, is decided in `sip.py`.
"""

import asyncio
from collections.abc import Callable, Iterable

from spms.inspections.sip_digest import Challenge, Credentials, choose
from spms.inspections.sip_messages import Answer, Ask, Malformed, read, write_response
from spms.inspections.sip_script import ALLOW, Dialled, Leg, Script
from spms.inspections.sip_timing import Watch
from spms.inspections.sip_wire import Wire

__all__ = ["Dialled", "Leg", "Line"]

MAX_LEGS = 16
MAX_TRACE_LINES = 200
MAX_PHRASE = 40
CHALLENGES = frozenset({401, 407})
_EARLY_MEDIA = 183
_SIGNS_OF_RINGING = frozenset({180, 181, 182, _EARLY_MEDIA})  # ringing, forwarded, queued


class Line:
    """Facts heard in one call, kept up to date by the messages from the trunk."""

    def __init__(
        self,
        dialled: Dialled,
        *,
        on_spare_leg: Callable[[Leg], None],
        on_answer: Callable[[Answer], None] = lambda _: None,
        who: Credentials | None = None,
    ) -> None:
        """`on_spare_leg` is told of every answered leg besides the first: it has to be ended."""
        self.watch = Watch()
        self.provisional = False  # some 1xx came: CANCEL may be sent
        self.rang_at: float | None = None  # loop time of the first 180 to 183
        self.belled = False  # 180, 181 or 182: more than early media
        self.early_cause: int | None = None  # Q.850 cause in a 183
        self.final: Answer | None = None
        self.leg: Leg | None = None  # the first leg that answered
        self.cancel_answered = False
        self.refused = False  # the network said that nobody takes our datagrams
        self.ended: set[str] = set()  # tags of legs that are over
        self.hung_up_by_line = False
        self.given_up = False  # what comes now is ended, and changes nothing
        self.malformed = 0
        self.dropped = 0
        self.trace: list[str] = []
        self._who = who
        self._script = Script(dialled)
        self._on_spare_leg = on_spare_leg
        self._tell_answer = on_answer
        self._legs: dict[str, Leg] = {}
        self._acks: dict[str, bytes] = {}  # by branch of the INVITE that got no success
        self._byes: dict[str, bytes] = {}  # by tag of the leg: a repeat is the same bytes
        self._bye_tags: dict[str, str] = {}  # by branch of the BYE
        self._bye_proven: set[str] = set()  # tags whose BYE was challenged once

    def attach(self, wire: Wire, audio_port: int) -> None:
        """Learn our own address, which the messages have to name; nothing is said before."""
        self._wire = wire
        self._script.settle_at(wire.local, audio_port=audio_port, reliable=wire.reliable)
        self._began = asyncio.get_running_loop().time()

    @property
    def over(self) -> bool:
        """Whether waiting for an answer to the INVITE has become pointless."""
        return self.final is not None or self.refused

    def prove(self, challenge: Challenge, who: Credentials) -> None:
        """Make the next INVITE a new one that answers the challenge (RFC 3261, 22.2)."""
        self._script.prove(self.final.code if self.final is not None else 0, challenge, who)
        self.final = None
        self.provisional = False

    # What is sent.

    def send_invite(self) -> None:
        """Ask for the call."""
        self._send("INVITE", self._script.invite())

    def send_cancel(self) -> None:
        """Take the INVITE back. Only allowed after a provisional answer (RFC 3261, 9.1)."""
        self._send("CANCEL", self._script.cancel())

    def send_bye(self, leg: Leg) -> None:
        """Hang up one leg."""
        if leg.tag not in self._byes:
            branch, self._byes[leg.tag] = self._script.bye(leg)
            self._bye_tags[branch] = leg.tag
        self._send("BYE", self._byes[leg.tag])

    def _send(self, what: str, data: bytes) -> None:
        self._note(">", what)
        self._wire.send(data)

    def _note(self, direction: str, what: str) -> None:
        if len(self.trace) < MAX_TRACE_LINES:
            since = asyncio.get_running_loop().time() - self._began
            self.trace.append(f"+{since * 1000:.0f} ms {direction} {what}")

    # What is heard.

    def hear(self, data: bytes) -> None:
        """Take in one message of the trunk's; the wire is connected, so it is from there."""
        try:
            message = read(data)
        except Malformed:
            self.malformed += 1
            self._note("<", "not SIP")
        else:
            taken = self._on_ask(message) if isinstance(message, Ask) else self._on_answer(message)
            self.dropped += not taken
        self.watch.tell()

    def refuse(self, why: str) -> None:
        """Note that the network does not carry our messages (ICMP, or the stream is closed)."""
        if self._wire.reliable and (self.given_up or self.final is not None):
            return  # the trunk may close when the call is over
        self._note("<", why)
        self.refused = True
        self.watch.tell()

    def _on_answer(self, answer: Answer) -> bool:
        ours = answer.call_id == self._script.call_id and answer.from_tag == self._script.tag
        if not ours or answer.vias != 1:  # RFC 3261, 8.1.3.3
            return False
        if answer.method == "INVITE":
            return self._on_invite_answer(answer)
        if answer.method == "CANCEL" and answer.branch == self._script.branch:
            self._note_answer(answer)
            self.cancel_answered = True
            return True
        if answer.method == "BYE" and answer.branch in self._bye_tags:
            self._note_answer(answer)
            self._on_bye_answer(answer, self._bye_tags[answer.branch])
            return True
        return False

    def _on_bye_answer(self, answer: Answer, tag: str) -> None:
        """Count a leg as ended, unless the trunk wants to know first who hangs up."""
        if answer.provisional:
            return
        challenge = choose(answer.challenges) if answer.code in CHALLENGES else None
        if challenge is None or self._who is None or tag in self._bye_proven:
            self.ended.add(tag)
            return
        self._bye_proven.add(tag)
        self._script.prove_bye(answer.code, challenge, self._who)
        del self._byes[tag]
        self.send_bye(self._legs[tag])

    def _on_invite_answer(self, answer: Answer) -> bool:
        if answer.refusal and answer.branch in self._acks:  # our ACK was lost
            self._note_answer(answer)
            self._send("ACK", self._acks[answer.branch])
            return True
        if answer.branch != self._script.branch or answer.sequence != self._script.sequence:
            return False
        self._note_answer(answer)
        if answer.provisional:
            self._on_progress(answer)
        elif answer.success:
            self._on_success(answer)
        else:
            ack = self._acks[answer.branch] = self._script.ack_refusal(answer)
            self._send("ACK", ack)
            if not self.given_up:
                self.final = self.final or answer
        return True

    def _note_answer(self, answer: Answer) -> None:
        phrase = "".join(c for c in answer.phrase if " " <= c <= "~")[:MAX_PHRASE]
        self._note("<", f"{answer.code} {phrase} ({answer.method})")

    def _on_progress(self, answer: Answer) -> None:
        if self.final is not None:
            return
        self.provisional = True
        if answer.code in _SIGNS_OF_RINGING:
            if self.rang_at is None:
                self.rang_at = asyncio.get_running_loop().time()
            self.belled = self.belled or answer.code != _EARLY_MEDIA
            self.early_cause = answer.q850 or self.early_cause

    def _on_success(self, answer: Answer) -> None:
        leg = self._legs.get(answer.to_tag)
        if leg is not None:  # our ACK was lost
            self._send("ACK", leg.ack)
            return
        if len(self._legs) >= MAX_LEGS:
            return
        leg = self._legs[answer.to_tag] = self._script.leg(answer)
        self._send("ACK", leg.ack)
        if self.final is None and not self.given_up:
            self.final, self.leg = answer, leg
            self._tell_answer(answer)
        else:
            self._on_spare_leg(leg)

    def _on_ask(self, ask: Ask) -> bool:
        leg = self._legs.get(ask.from_tag)
        if ask.call_id != self._script.call_id or ask.to_tag != self._script.tag or leg is None:
            return False
        self._note("<", ask.method)
        if ask.method == "BYE":
            self.ended.add(leg.tag)
            self.hung_up_by_line = self.hung_up_by_line or leg is self.leg
            self._reply(ask, "200 OK")
        elif ask.method == "INVITE":  # a change of the session: the one we have stays
            self._reply(ask, "488 Not Acceptable Here")
        elif ask.method != "ACK":
            self._reply(ask, "405 Method Not Allowed", (ALLOW,))
        return True

    def _reply(self, ask: Ask, status: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._send(status, write_response(ask, status, headers=headers))
