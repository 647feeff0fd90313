ALTER TABLE uncharged_delivery ADD CONSTRAINT uncharged_delivery_reservation FOREIGN KEY (msisdn, reservation_id) REFERENCES reservation (msisdn, id);
