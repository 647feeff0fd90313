"""SMS in and out between the platform and subscribers, and sign-in by one-time code.

Tables written here: message_in, message_in_key, message_in_part, message_in_unproven,
message_in_stray, leave_wish, message_out, message_out_part, message_receipt, one_time_code,
one_time_code_request, subscriber_notice, and the sandbox's sandbox_phone and sandbox_sms.

What it keeps:

- A message out is a row before anything leaves the process. It may reach the network at most
  twice, and twice only when we cannot know whether the first time succeeded
  (`message_out_at_most_twice`). What is taken back (`withdrawals`) is not sent again, nor for the
  first time unless a link has it in hand already.
- Whole PDUs are kept where a link has them; none is made up where it has none. A message in parts
  is delivered when all of them are (`message_out_part`).
- A message in is committed before the link is told that we have it; delivered again, it is the
  same message. The messages of one number are handled one at a time, in the order received: none
  gets a place before one that was committed before it came (`receiving`). What
  comes under no readable number is kept as it came (`strays`).
- A message that may be a wish to leave is marked as one in the statement that stores it, and stops
  charging until it is handled or a person has settled it (`leave_wish`).
- Over SMPP the layers are: `smpp_pdu` (octets), `smpp_session` (one connection), `smpp_link`
  (kept bound, out) with `smpp_parts` (what goes out) and `smpp_inbox` (in), and `deliveries` (what
  came, as rows). `texts` and `receipts` know how SMSCs write those. docs/smpp.md is the operator's page.
- A one-time code works once, for ten minutes and five tries, for the holder it was sent to; the
  answers do not tell whether a number exists.
- A notice with a natural key (a receipt per charge, a reminder per month) is given once: its row
  in subscriber_notice is written with the message.
"""
