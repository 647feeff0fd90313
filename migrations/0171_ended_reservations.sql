-- What was held and came to nothing is few among what was held: it is looked for by its own index.
CREATE INDEX reservation_ended ON reservation (reserved_at) WHERE state IN ('released', 'expired');
