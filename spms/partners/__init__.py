"""Service providers (SP): who they are, how they can be reached, what holds them back.

Tables written here: sp, sp_event, sp_hotline, contact_change, restriction, sp_quota,
bad_credit, bad_credit_clearance, sp_link,
partner_event, event_feed_head, event_feed_read, webhook_endpoint, webhook_secret,
webhook_delivery, webhook_attempt.

What it keeps:

- One living SP per licence and per name; names that merely look different are the same name
  (`name_key` in `rules.py`).
- Nobody goes live without two hotlines and a responsible person's mobile.
- Contacts change only when another person than the one who asked approves it; the old numbers stay
  on record with the time at which they ended.
- A status and its history line are written by one statement.
- Restrictions are dated facts with a cause that hold at the same time; the effective state is
  their OR. One cause restricts one thing once. Nothing lifts a restriction but its own cause.
- What an SP may send is agreed from an instant on, never backwards; versions are only ever added.
- What an SP is told has no gaps and no holes that fill later: positions are given after the
  commit, by one worker at a time (`event_feed.py`). A webhook is posted at least once, of one
  subject in order, and only to a public address (`webhook_address.py`).
- At most two client secrets of one SP live at once; a secret is shown once and never stored. One
  that has leaked is revoked, and refused by every replica from that commit on.
"""
