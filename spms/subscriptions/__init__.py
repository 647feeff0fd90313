"""The order relation (订购关系): two consents to get in (二次确认), one word to get out.

A request makes a prompt through the operator's own SMS link; only a yes that comes back over the
same link, in time, from the same owner of the number makes the relation live. Silence is refusal.

Tables written here: subscription, subscription_event, consent, leave_list,
subscription_telling, proxy_lookup, leaving_duty.

Invariants kept here:
- at most one live relation per (number, service): a partial unique index;
- a consent cites the message that gave it (foreign key), is made in the statement that makes the
  relation live, and is never changed (rights);
- the terms agreed to (price, tariff, notice, prompt) never change (rights);
- at most three prompts a day to one number over all SPs, and none for a service within thirty
  days of a refusal: decided while the number's row is held;
- a status change and its history row are one statement;
- a relation ends at the instant at which the wish to leave was received;
- what follows a leaving through an agent has a clock, and a clock that runs out is on record.
"""
