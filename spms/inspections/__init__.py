"""Spot checks of SP hotlines: drawn by lot, placed as real SIP calls, judged by a sequential test.

Tables written here: inspection_plan, inspection_item, hotline_call, hotline_evidence,
hotline_finding, inspection_objection, hotline_greeting, service_proof, and the sandbox's sandbox_line.

Invariants kept here:
- a plan is committed to (hashes of its seed and of its whole document are stored and shown) before
  the first call, and is shown itself once it is finished: anyone can draw it again;
- a call is a committed row before its INVITE leaves; an attempt is placed at most once, and a
  crash in the middle leaves it `unknown`, never to be placed again;
- a number never gets two of our calls at a time, and none outside the permitted hours;
- nothing speaks against an SP but calls that failed on its own side, often enough to show a bad
  line with an error of at most α (rulebook) and far enough apart, or a changed number found twice;
  whatever may be our fault never counts;
- a hotline that was withdrawn with an officer's approval, or asked to be before the first call, is
  not judged;
- a line that was found bad is one finding until it is cured or ought to have been;
- a month of an SP is summed up once, and its responsible person called in one item a quarter; the
  mobile itself is shown to that SP and to officers only;
- every call is evidence, linked to the call before it of the same number.

Pure files: `sequential` (the test and its figures), `verdict`, `rules` (hours, draw), `outcomes`,
`evidence`, `sound`, `sip_messages`, `sip_digest`. `sip`, `sip_line`, `sip_wire`, `sip_audio` place
one call; `proving` sums up months and draws persons; `calling` places all that are due; `prober` is the trunk, `dialler` the operator's own.
"""
