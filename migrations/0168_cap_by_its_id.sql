-- A decision tells every input with its version: a cap that a person set is told by its id, as a bar is.
-- (The view is that of 0090 but for the id at the end of each cap.)

CREATE OR REPLACE VIEW number_standing_due AS
    SELECT k.msisdn, json_build_array(
        (SELECT COALESCE(json_agg(json_build_array(microseconds(effective_at),
                    microseconds(recorded_at), state_after, epoch_after, id)
                    ORDER BY effective_at DESC), '[]')
           FROM number_event e WHERE e.msisdn = k.msisdn),
        (SELECT COALESCE(json_agg(json_build_array(x.service_id, x.id, x.kind, x.epoch,
                    x.price_fen, microseconds(COALESCE(x.request_received_at, x.requested_at)),
                    microseconds(x.requested_at), microseconds(x.confirm_by),
                    microseconds(x.active_from), microseconds(x.charge_from),
                    microseconds(x.free_until), x.link_id, c.kind, c.price_fen)
                    ORDER BY x.active_from NULLS LAST, x.id), '[]')
           FROM subscription x
           LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
          WHERE x.msisdn = k.msisdn AND x.ended_at IS NULL),
        (SELECT COALESCE(json_agg(json_build_array(epoch, id, scope, target,
                    microseconds(starts_at)) ORDER BY starts_at, id), '[]')
           FROM number_bar b WHERE b.msisdn = k.msisdn AND b.ends_at IS NULL),
        (SELECT COALESCE(json_agg(json_build_array(epoch, scope, service_id, limit_fen,
                    microseconds(starts_at), id) ORDER BY starts_at DESC, id DESC), '[]')
           FROM number_cap c WHERE c.msisdn = k.msisdn))::text AS body
      FROM number_standing k;
UPDATE number_standing k SET body = d.body
  FROM (SELECT DISTINCT msisdn FROM number_cap) c
  JOIN number_standing_due d ON d.msisdn = c.msisdn
 WHERE k.msisdn = c.msisdn;
