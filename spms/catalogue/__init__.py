"""What may be sold: services, access numbers, tariff versions, notices; and what they may send.

Tables written here: access_number, service, service_event, tariff, notice, message_template,
promotion.

Invariants kept here:
- tariff versions are only ever added, and never backdated;
- nothing is on sale without a notice, for the tariff in force, that another person approved;
- a text to be sent is approved by another person than its author;
- high prices and joint promotion are only for SPs whose points allow them (`rights`), when they
  apply and again when an officer says yes;
- an access number belongs to one SP, a keyword on it to one service.
"""
