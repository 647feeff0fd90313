"""Spot checks of SP hotlines: drawn by lot, placed as real SIP calls, judged after retests.

Tables written here: inspection_plan, inspection_item, hotline_call, and the sandbox's
sandbox_line.

Invariants kept here:
- a plan's seed is committed to (its hash is stored and shown) before the first call, and is shown
  itself once the plan is finished: anyone who was there can draw the plan again;
- a call is a committed row before its INVITE leaves; an attempt is placed at most once, and a
  crash in the middle leaves it `unknown`, never to be placed again;
- a number never gets two of our calls at a time, and none outside the permitted hours;
- nothing speaks against an SP but calls that failed on its own side, three in a row at least half
  an hour apart, or a changed number found twice; whatever may be our fault never counts;
- a hotline that was withdrawn with an officer's approval is not judged.
"""
