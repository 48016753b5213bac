-- Of a message that comes again, its body is no longer kept, and nothing once the message is gone.
DELETE FROM payload WHERE id IN (SELECT seq * 4 FROM repeat WHERE enc = 128);
DELETE FROM repeat WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.seq = repeat.message);
UPDATE repeat SET enc = 0, body = NULL WHERE enc <> 0 OR body NOT NULL;
