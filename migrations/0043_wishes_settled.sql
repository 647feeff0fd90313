-- Charges made between a wish to leave and its settling are judged again: which were settled lately?
CREATE INDEX leave_wish_settled ON leave_wish (settled_at);
