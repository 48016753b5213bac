-- Which of several deliveries of a message to an endpoint tells how it fared there: 0 where this one
-- does, 1 where another does, NULL where there is no other.
ALTER TABLE delivery ADD COLUMN again INTEGER;
-- The first one is scheduled, or a sample; all others were asked for.
CREATE TEMP TABLE of_several AS
  SELECT delivery.seq, message, endpoint, trigger, state, ended
  FROM (SELECT DISTINCT message AS m, endpoint AS e FROM delivery WHERE trigger IN (1, 3))
  CROSS JOIN delivery ON message = m AND +endpoint = e;
CREATE INDEX temp.of_several_by_message ON of_several (message, endpoint);
DELETE FROM of_several AS one WHERE 1 =
  (SELECT count(*) FROM of_several AS other
    WHERE other.message = one.message AND other.endpoint = one.endpoint);
-- One that arrived, else one that is still tried, else the one that ended last.
UPDATE delivery SET again = delivery.seq IS NOT
  (SELECT seq FROM of_several AS one
    WHERE one.message = delivery.message AND one.endpoint = delivery.endpoint
      AND (state <> 0 OR trigger IN (0, 3))
    ORDER BY state = 1 DESC, state = 4 DESC, state = 0 DESC, ended DESC, seq DESC LIMIT 1)
  WHERE seq IN (SELECT seq FROM of_several);
DROP TABLE of_several;

DROP INDEX delivery_dead;
CREATE INDEX delivery_dead ON delivery (endpoint) WHERE state = 2 AND again IS NOT 1;
