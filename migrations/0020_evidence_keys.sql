-- Foreign keys of the evidence chains.

ALTER TABLE chain_entry ADD CONSTRAINT chain_entry_start FOREIGN KEY (subject, chain) REFERENCES chain_start (subject, chain);
ALTER TABLE anchor_leaf ADD CONSTRAINT anchor_leaf_start FOREIGN KEY (subject, chain) REFERENCES chain_start (subject, chain);
ALTER TABLE anchor_leaf ADD CONSTRAINT anchor_leaf_anchor FOREIGN KEY (anchor_seq) REFERENCES anchor (seq);
ALTER TABLE anchor_signature ADD CONSTRAINT anchor_signature_anchor FOREIGN KEY (anchor_seq) REFERENCES anchor (seq);
ALTER TABLE anchor_signature ADD CONSTRAINT anchor_signature_key FOREIGN KEY (key_id) REFERENCES signing_key (id);
